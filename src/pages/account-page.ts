export type AccountPage = 'verify' | 'reset' | 'undo';

export interface PageSettings {
  readonly productName: string;
  /** What comes before all paths, when a proxy serves Gatehouse below another path; else empty. */
  readonly basePath: string;
}

/** One state of a page. The first paragraph is plain text; `.answer` is filled with what the server says. */
const section = (state: string, heading: string, content: string, tone = '') =>
  `<section data-state="${state}"${tone && ` class="${tone}"`} hidden>
        <h1 tabindex="-1">${heading}</h1>
        ${content}
      </section>`;

interface FormParts {
  /** Of the form, on its page. */
  id: string;
  /** Below `/api/v1/auth/`. */
  call: string;
  next: string;
  button: string;
  fields?: string;
  /** The field that errors are about. */
  field?: string;
  takesToken?: boolean;
}

const form = ({ id, call, next, button, fields = '', field = '', takesToken = false }: FormParts) =>
  `<form data-call="${call}" data-next="${next}" data-field="${field}"${takesToken ? ' data-takes-token' : ''} novalidate>
          ${fields}<ul class="errors" id="${id}-errors" role="alert"></ul>
          <button type="submit">${button}</button>
        </form>`;

const askAgain = (id: string, call: string) =>
  form({
    id,
    call,
    next: 'sent',
    button: 'Send me a new link',
    field: 'email',
    fields: `<label for="${id}-email">Your email address</label>
          <input id="${id}-email" name="email" type="email" autocomplete="email" inputmode="email" autocapitalize="none" spellcheck="false" aria-describedby="${id}-errors">
          `,
  });

const PASSWORD_FIELDS = `<label for="password">New password</label>
          <div class="field">
            <input id="password" name="new_password" type="password" autocomplete="new-password" autocapitalize="none" spellcheck="false" aria-describedby="ready-errors rules">
            <button type="button" class="reveal" aria-controls="password" aria-pressed="false">Show</button>
          </div>
          <ul class="rules" id="rules">
            <li>At least 8 characters</li>
            <li>An upper-case letter, a lower-case letter and a digit; not needed from 16 characters on</li>
            <li>Not one of the passwords that everybody uses, nor your address or name</li>
          </ul>
          `;

const STALE = 'This link no longer works';
const stale = (call: string) =>
  section(
    'stale',
    STALE,
    `<p>It has expired, or was used before. You can have a new one:</p>\n        ${askAgain('stale', call)}`,
  );
const sent = section(
  'sent',
  'Look into your mailbox',
  '<p>If there is an account with this address that needs it, a mail with a new link is on its way. It may take a minute or two.</p>',
);

const verify = (): string[] => [
  section(
    'ready',
    'Confirm your email address',
    `<p>Please confirm that the address that the mail was sent to is yours.</p>
        ${form({ id: 'ready', call: 'verify-email', next: 'done', button: 'Confirm the address', takesToken: true })}`,
  ),
  section('done', 'Address confirmed', '<p>Thank you. You can close this page.</p>', 'good'),
  stale('resend-verification'),
  section(
    'empty',
    'Confirm your email address',
    `<p>Please open the link in the mail that we have sent you. If none has come, you can have another:</p>
        ${askAgain('empty', 'resend-verification')}`,
  ),
  sent,
];

const reset = (): string[] => [
  section(
    'ready',
    'Set a new password',
    `<p>All devices that are signed in will be signed out.</p>
        ${form({ id: 'ready', call: 'reset-password', next: 'done', button: 'Set the password', field: 'new_password', fields: PASSWORD_FIELDS, takesToken: true })}`,
  ),
  section('done', 'Your password is set', '<p>Please sign in with it. You can close this page.</p>', 'good'),
  stale('forgot-password'),
  section(
    'empty',
    'Set a new password',
    `<p>Tell us the address of your account, and we send you a link:</p>
        ${askAgain('empty', 'forgot-password')}`,
  ),
  sent,
];

const undo = ({ basePath }: PageSettings): string[] => [
  section(
    'ready',
    'Take your account back',
    `<p>Your account gets the address back that the mail was sent to. All devices are signed out, and API keys are revoked. If the password has been changed since, we send you a link to set a new one.</p>
        ${form({ id: 'ready', call: 'undo-email-change', next: 'done', button: 'Take it back', takesToken: true })}`,
  ),
  section('done', 'The account is yours again', '<p class="answer"></p>', 'good'),
  section(
    'stale',
    STALE,
    `<p>It has expired, or was used before. If you cannot sign in, <a href="${basePath}/account/reset">set a new password</a>, or tell the operator of this server.</p>`,
  ),
  section(
    'taken',
    'The address is taken',
    '<p>Another account has this address by now, so that yours cannot get it back. Please tell the operator of this server.</p>',
  ),
  section(
    'empty',
    'Take your account back',
    '<p>When the email address of an account is changed, we send a mail to the one that it had before. Please open the link in that mail.</p>',
  ),
];

const SECTIONS: Record<AccountPage, (settings: PageSettings) => string[]> = { verify, reset, undo };
const TITLES: Record<AccountPage, string> = {
  verify: 'Confirm your email address',
  reset: 'Set a new password',
  undo: 'Take your account back',
};

export function accountPage(page: AccountPage, settings: PageSettings): string {
  const product = escapeHtml(settings.productName);
  const base = escapeHtml(settings.basePath);
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="robots" content="noindex">
    <title>${TITLES[page]} – ${product}</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="${base}/account/page.css">
    <script src="${base}/account/page.js" defer></script>
  </head>
  <body>
    <main data-product="${product}" data-api="${base}/api/v1/auth/" aria-live="polite">
      <p class="product">${product}</p>
      <noscript><p>This page needs JavaScript. Please allow it for this site, and load the page again.</p></noscript>
      ${SECTIONS[page]({ ...settings, basePath: base }).join('\n      ')}
    </main>
  </body>
</html>
`;
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => ESCAPES[character]);
