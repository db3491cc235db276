/**
 * What the account pages do in a browser. A page is a set of sections, of which one is shown. The token leaves the address bar at once,
 * and stays with the tab, so that a reload on a phone does not lose it. Nothing is sent before somebody presses a button: programs that
 * look through mails open links as well.
 */
export const PAGE_SCRIPT = `'use strict';
(() => {
  const main = document.querySelector('main');
  const given = new URLSearchParams(location.search).get('token');
  const token = given ?? history.state?.token ?? '';
  history.replaceState(token ? { token } : null, '', location.pathname);

  const sections = [...main.querySelectorAll('section')];

  function show(state, takesFocus = true) {
    for (const section of sections) section.hidden = section.dataset.state !== state;
    const heading = sections.find((section) => !section.hidden).querySelector('h1');
    document.title = heading.textContent + ' – ' + main.dataset.product;
    if (takesFocus) heading.focus();
  }

  function fail(form, sentences) {
    const field = form.querySelector('input');
    const list = form.querySelector('.errors');
    list.replaceChildren(
      ...sentences.map((sentence) => {
        const item = document.createElement('li');
        item.textContent = sentence;
        return item;
      }),
    );
    if (!field) return;
    field.toggleAttribute('aria-invalid', sentences.length > 0);
    if (sentences.length > 0) field.focus();
  }

  function wait(response) {
    const seconds = Number(response.headers.get('retry-after')) || 60;
    return seconds < 90 ? seconds + ' seconds' : Math.ceil(seconds / 60) + ' minutes';
  }

  function explain(form, response, body) {
    if (body.error_code === 'invalid_one_time_token') {
      history.replaceState(null, '', location.pathname);
      return show('stale');
    }
    if (body.error_code === 'email_taken') return show('taken');
    const sentences = body.field_errors?.[form.dataset.field];
    if (sentences) return fail(form, form.dataset.field === 'email' ? ['Please enter an email address.'] : sentences);
    if (response.status === 429) return fail(form, ['Too many attempts. Please try again in ' + wait(response) + '.']);
    fail(form, ['The server cannot do this at the moment. Please try again in a minute.']);
  }

  async function submit(form) {
    const { call, next, takesToken } = form.dataset;
    const fields = Object.fromEntries(new FormData(form));
    fail(form, []);
    const response = await fetch(main.dataset.api + call, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(takesToken === undefined ? fields : { token, ...fields }),
      credentials: 'omit',
      cache: 'no-store',
    }).catch(() => null);
    if (!response) return fail(form, ['The server cannot be reached. Please check your connection and try again.']);
    const body = await response.json().catch(() => ({}));
    if (!response.ok) return explain(form, response, body);
    form.reset();
    if (takesToken !== undefined) history.replaceState(null, '', location.pathname);
    const answer = main.querySelector('section[data-state="' + next + '"] .answer');
    if (answer) answer.textContent = body.message + '.';
    show(next);
  }

  for (const form of main.querySelectorAll('form')) {
    const button = form.querySelector('button[type="submit"]');
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (button.getAttribute('aria-disabled') === 'true') return;
      button.setAttribute('aria-disabled', 'true');
      void submit(form).finally(() => button.removeAttribute('aria-disabled'));
    });
  }

  for (const reveal of main.querySelectorAll('.reveal')) {
    reveal.addEventListener('click', () => {
      const field = document.getElementById(reveal.getAttribute('aria-controls'));
      const isShown = field.type === 'text';
      field.type = isShown ? 'password' : 'text';
      reveal.setAttribute('aria-pressed', String(!isShown));
    });
  }

  show(token ? 'ready' : 'empty', false);
})();
`;
