/** A mail as it leaves. */
export interface OutgoingMail {
  readonly id: string;
  readonly kind: string;
  readonly createdAt: Date;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface Handover {
  /** To be awaited before the first byte goes to somebody who may deliver it. When it rejects, nothing goes. */
  begin(): Promise<void>;
  /** Gives up what has not begun. */
  readonly signal: AbortSignal;
}

/** The mail will never be taken. */
export class MailRefusedError extends Error {}

/** This mail is not taken now; others may be. */
export class MailDeferredError extends Error {}

/** Nobody knows whether the mail was taken. */
export class MailUnconfirmedError extends Error {}

/** No mail can be handed over at present. */
export class TransportUnusableError extends Error {}

/** The same, but the server has said so itself, and that it will be better later. */
export class ServerBusyError extends TransportUnusableError {}

/** Where mails go. */
export abstract class MailTransport {
  /**
   * Resolves when the mail has been taken. Any error but `MailRefusedError` and `MailUnconfirmedError` means that it was not, and may be
   * tried again. No message of an error holds anything of the mail or of the server's credentials.
   */
  abstract send(mail: OutgoingMail, handover: Handover): Promise<void>;

  /** Whether mails could be handed over now. @throws TransportUnusableError with the reason */
  abstract verify(): Promise<void>;

  /** Ends what is still under way. */
  abstract close(): Promise<void>;
}
