/** What whoever composes a mail is told of it. */
export interface QueuedMail {
  id: string;
  kind: string;
  userId: string | null;
  email: string;
  data: Record<string, unknown>;
  createdAt: Date;
}

export interface NewMail {
  kind: string;
  email: string;
  userId?: string | null;
  /** What the composer cannot read from the database any more. Never a token. */
  data?: Record<string, unknown>;
  /** What the mail is due to, as in `password-changed:<id of the change>`: the same cause is never mailed twice. */
  cause?: string;
}

/** A mail that this node has in hand. The number of the attempt tells its claim from any later one. */
export interface ClaimedMail extends QueuedMail {
  attempts: number;
}

/** `failed` counts those that were given up, `unconfirmed` those that the server may or may not have taken. */
export interface PendingCounts {
  queued: number;
  failed: number;
  unconfirmed: number;
  /** The age of the oldest that is still to be sent; 0 when there is none. */
  oldestSeconds: number;
}
