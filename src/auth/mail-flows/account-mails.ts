import type { MailComposer } from '../../mail/mail-queue.service.js';

type MailContent = NonNullable<Awaited<ReturnType<MailComposer>>>;

/*
 * What the mails of accounts say. No text of a user is in them, names neither: who signs up with the address of another must not be able
 * to write to them.
 */

export const verificationMail = (product: string, to: string, url: string): MailContent => ({
  to,
  subject: `Confirm your email address for ${product}`,
  heading: 'Confirm your email address',
  paragraphs: [
    `Somebody, probably you, has given this address for an account at ${product}. Please confirm that it is yours.`,
  ],
  action: { label: 'Confirm this address', url },
  notes: [
    'The link works once, within an hour.',
    `If you have no account at ${product}, do nothing: without a confirmation the address counts as unproved.`,
  ],
});

export const resetMail = (product: string, to: string, url: string, origin: string): MailContent => ({
  to,
  subject: `Set a new password for ${product}`,
  heading: 'Set a new password',
  paragraphs: [
    `A new password was asked for, for the account at ${product} that has this address. ${origin}`,
    'If it was you, choose a new password. All devices will be signed out.',
  ],
  action: { label: 'Set a new password', url },
  notes: [
    'The link works once, within an hour.',
    'If it was not you, do nothing: your password stays as it is. Give the link to nobody.',
  ],
});

/** After an undone change of address, when somebody has changed the password since. */
export const voidPasswordMail = (product: string, to: string, url: string): MailContent => ({
  to,
  subject: `Set a new password for ${product}`,
  heading: 'Set a new password',
  paragraphs: [
    `This is again the address of your account at ${product}. The password had been changed meanwhile, and does not work any more: please choose a new one.`,
  ],
  action: { label: 'Set a new password', url },
  notes: ['The link works once, within an hour. After that, ask for another one as for a forgotten password.'],
});

export const passwordChangedMail = (product: string, resetUrl: string, origin: string): MailContent => ({
  subject: `Your password for ${product} was changed`,
  heading: 'Your password was changed',
  paragraphs: [
    `The account at ${product} with this address has a new password. ${origin}`,
    'If it was you, there is nothing to do.',
    'If it was not you, ask for a new password at once, and look through your API keys: a new password alone does not revoke them.',
  ],
  action: { label: 'It was not me', url: resetUrl },
});

export const secondFactorMail = (
  product: string,
  isEnabled: boolean,
  resetUrl: string,
  origin: string,
): MailContent => ({
  subject: `The second factor of your account at ${product} was ${isEnabled ? 'set up' : 'removed'}`,
  heading: `Your second factor was ${isEnabled ? 'set up' : 'removed'}`,
  paragraphs: [
    isEnabled
      ? `Signing in to the account at ${product} with this address asks for a code of an authenticator app now. ${origin}`
      : `Signing in to the account at ${product} with this address asks for no code of an authenticator app any more. ${origin}`,
    'If you know of it, there is nothing to do.',
    isEnabled
      ? 'If it was not you, ask for a new password at once, and tell the operator of the server.'
      : 'If it was not you, ask for a new password at once, set a second factor up again, and look through your API keys.',
  ],
  action: { label: 'It was not me', url: resetUrl },
});

/** @param undoUrl `null` when the account has come back to an earlier address, or is gone */
export const emailChangedMail = (product: string, undoUrl: string | null, origin: string): MailContent => ({
  subject: `The email address of your account at ${product} was changed`,
  heading: 'Your email address was changed',
  paragraphs: [
    `Your account at ${product}, which had this address, has another one now. ${origin}`,
    'If it was you, there is nothing to do.',
    undoUrl
      ? 'If it was not you, take the account back: it gets this address again, all devices are signed out, and API keys are revoked.'
      : 'If it was not you, tell the operator of the server.',
  ],
  ...(undoUrl && {
    action: { label: 'Take my account back', url: undoUrl },
    notes: ['The link works once, within 72 hours.'],
  }),
});

/** Where the other was is not for this one to know. */
export const changeUndoneMail = (product: string, when: string): MailContent => ({
  subject: `The email address of an account at ${product} was changed back`,
  heading: 'The address was changed back',
  paragraphs: [
    `This is no longer the address of the account at ${product}. Who has the mailbox of the previous address has undone the change. ${when}`,
    'All devices were signed out. If you do not agree, tell the operator of the server.',
  ],
});
