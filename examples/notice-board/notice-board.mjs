import { Gatehouse, localStorageTokens, MfaRequiredError } from '@gatehouse/client';

const CHANNEL = new URLSearchParams(location.search).get('channel') ?? 'notices';
const EVENT = 'notice';
/** How many of those that were posted before are shown. */
const SHOWN_AT_FIRST = 100;
const RETRY_MS = 3_000;
const SERVER_KEY = 'notice-board.server';

const $ = (id) => document.getElementById(id);
const STATES = {
  connecting: 'connecting …',
  connected: 'live',
  reconnecting: 'connecting again …',
  closed: 'signed out',
};

/** @type {Gatehouse} */
let api;
let live;
/** Of the login that waits for a second factor. */
let mfaToken;

function clientOf(server) {
  // By server: the tokens of one are not shown to another.
  return new Gatehouse({ baseURL: server, tokens: localStorageTokens(`notice-board.tokens ${server}`) });
}

// What is shown

function show(...ids) {
  for (const id of ['sign-in', 'post', 'notices', 'empty', 'state', 'sign-out']) $(id).hidden = !ids.includes(id);
}

function complain(message) {
  $('problem').textContent = message;
  $('problem').hidden = message === '';
}

function showSignIn(message = '') {
  $('notices').replaceChildren();
  $('server').value = localStorage.getItem(SERVER_KEY) ?? 'http://localhost:8000';
  show('sign-in');
  complain(message);
  $('name').focus();
}

/** Text is only ever set as text: whatever somebody posts, it is no markup. */
function noticeOf({ sequence, data, created_at }, author) {
  const item = document.createElement('li');
  item.dataset.sequence = sequence;
  const text = document.createElement('p');
  text.textContent = String(data?.text ?? '');
  const time = document.createElement('time');
  time.dateTime = created_at;
  time.textContent = new Date(created_at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  const footer = document.createElement('footer');
  footer.append(`${author}, `, time);
  item.append(text, footer);
  return item;
}

const names = new Map();
function nameOf(userId) {
  if (userId === null) return 'the server';
  const ask = () =>
    api.users.get(userId).then(
      ({ full_name, username }) => full_name ?? username,
      () => 'somebody',
    );
  if (!names.has(userId)) names.set(userId, ask());
  return names.get(userId);
}

// The board

async function open() {
  const [me, channel] = await Promise.all([api.users.me(), api.broadcasting.channels.get(CHANNEL)]);
  const mayPost = me.role === 'admin' || channel.publish_policy === 'members';
  show('notices', 'state', 'sign-out', ...(mayPost ? ['post'] : []), ...(channel.sequence === 0 ? ['empty'] : []));
  complain('');
  live = api.broadcasting.connect();
  live.on('state', changed);
  changed(live.state, null);
  const after = Math.max(channel.sequence - SHOWN_AT_FIRST, 0);
  const subscription = live.subscribe(CHANNEL, take, { after, epoch: channel.epoch });
  subscription.on('error', (error) => complain(`A notice cannot be shown: ${error.message}`));
  subscription.on('ended', ({ error }) => error && complain(error.message));
}

/** One after the other, each once, whatever becomes of the connection. */
async function take(message) {
  if (message.event !== EVENT) return;
  const notice = noticeOf(message, await nameOf(message.sender_id));
  $('empty').hidden = true;
  $('notices').prepend(notice);
}

function changed(state, cause) {
  $('state').textContent = STATES[state];
  $('state').dataset.state = state;
  if (state !== 'closed' || cause.reason === 'closed') return;
  showSignIn(cause.error?.message ?? 'You are signed out.');
}

// What the user does

async function submitted(form, work) {
  const button = form.querySelector('button');
  button.disabled = true;
  complain('');
  try {
    await work();
  } catch (error) {
    complain(error.message);
  } finally {
    button.disabled = false;
  }
}

async function signIn() {
  const server = $('server').value.replace(/\/+$/, '');
  try {
    if (mfaToken === undefined) {
      api = clientOf(server);
      await api.auth.login({ username: $('name').value, password: $('password').value });
    } else await api.auth.mfa.verify({ mfa_token: mfaToken, code: $('code').value });
  } catch (error) {
    const isAsked = error instanceof MfaRequiredError;
    if (isAsked) mfaToken = error.mfaToken;
    else if (error.code !== 'wrong_code') mfaToken = undefined;
    $('second-factor').hidden = mfaToken === undefined;
    if (!isAsked) throw error;
    return $('code').focus();
  }
  mfaToken = undefined;
  $('second-factor').hidden = true;
  $('password').value = $('code').value = '';
  localStorage.setItem(SERVER_KEY, server);
  await open();
  $('text').focus();
}

/** Waits for the connection if it is away, and is posted once however often it has to be sent. */
async function post() {
  await live.publish({ channel: CHANNEL, event: EVENT, data: { text: $('text').value } });
  $('text').value = '';
  $('text').focus();
}

$('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  void submitted(event.target, signIn);
});
$('post').addEventListener('submit', (event) => {
  event.preventDefault();
  void submitted(event.target, post);
});
$('text').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) $('post').requestSubmit();
});
$('sign-out').addEventListener('click', () => api.auth.logout().catch((error) => complain(error.message)));

/** After a reload: who was signed in still is, also when the server is away just now. */
async function resume() {
  const server = localStorage.getItem(SERVER_KEY);
  if (server !== null) api = clientOf(server);
  if (!api || !(await api.auth.isSignedIn())) return showSignIn();
  try {
    await open();
  } catch (error) {
    if (error.status > 0 && error.status < 500) return showSignIn(error.message);
    complain(`${error.message}. Trying again …`);
    setTimeout(resume, RETRY_MS);
  }
}

await resume();
