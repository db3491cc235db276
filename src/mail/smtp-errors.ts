import {
  MailDeferredError,
  MailRefusedError,
  MailUnconfirmedError,
  ServerBusyError,
  TransportUnusableError,
} from './mail-transport.js';

/** What nodemailer tells of a failure. */
export interface SmtpFailure extends Error {
  readonly code?: string;
  /** The step that failed; CONN for a connection that is lost at any step. */
  readonly command?: string;
  readonly responseCode?: number;
}

const REASON_MAX = 200;
/** Refusals of who sends, which the operator can put right, and of a step out of order. */
const CURABLE = new Set([503, 530, 534, 535, 538]);

/** What a failure means for the mail. */
export function toMailError(failure: SmtpFailure, hasBegun: boolean): Error {
  const { code, command, responseCode = 0 } = failure;
  const reason = reasonOf(failure);
  const options = { cause: failure };
  const isAnswer = responseCode >= 400 && responseCode < 600;
  if (hasBegun && !isAnswer) return new MailUnconfirmedError(reason, options);
  if (isAnswer && (command === 'RCPT TO' || command === 'DATA')) {
    const isFinal = responseCode >= 500 && !CURABLE.has(responseCode);
    return isFinal ? new MailRefusedError(reason, options) : new MailDeferredError(reason, options);
  }
  // An address that no server would be asked about.
  if (code === 'EENVELOPE' && command === 'API') return new MailRefusedError(reason, options);
  const isBusy = isAnswer && responseCode < 500;
  return isBusy ? new ServerBusyError(reason, options) : new TransportUnusableError(reason, options);
}

/** For the log and the queue. Servers quote what they refuse: links, tokens and addresses are taken out. */
export function reasonOf(error: Error): string {
  const text = (error.message || (error as NodeJS.ErrnoException).code || error.name)
    .replace(/\S+:\/\/\S+/g, '<link>')
    .replace(/<?[^\s<>"']+@[^\s<>"']+>?/g, '<address>')
    .replace(/[\w+/=-]{24,}/g, '<…>')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
  return text.length > REASON_MAX ? `${text.slice(0, REASON_MAX - 1)}…` : text;
}
