import type { VariableName } from '../../src/config/variables.js';
import { parseMail, TestSmtpServer } from './smtp-server.js';
import type { TestApp } from './test-app.js';
import { until } from './uploads.js';

/** A mail as its reader sees it. */
export interface ReadMail {
  to: string;
  subject: string;
  text: string;
  html: string;
  /** Where its button leads; `null` without one. */
  link: URL | null;
}

export const PUBLIC_URL = 'https://accounts.example.com';

/** Everybody's mailboxes: a real SMTP server, to which the application sends. */
export class Mailboxes {
  private constructor(private readonly server: TestSmtpServer) {}

  static async start(): Promise<Mailboxes> {
    return new Mailboxes(await TestSmtpServer.start());
  }

  /** For the application. */
  get settings(): Partial<Record<VariableName, string>> {
    return { SMTP_URL: this.server.url, PUBLIC_URL, PRODUCT_NAME: 'Teapot' };
  }

  /** All mails to an address, once whatever has been queued is sent or dropped. */
  async of(app: TestApp, address: string): Promise<ReadMail[]> {
    await settle(app);
    return Promise.all(this.server.mailsTo(address).map(({ raw }) => read(raw)));
  }

  /** The last mail whose subject is so. */
  async last(app: TestApp, address: string, subject: RegExp): Promise<ReadMail> {
    const mails = (await this.of(app, address)).filter((mail) => subject.test(mail.subject));
    if (mails.length === 0) throw new Error(`No mail to ${address} about ${subject}`);
    return mails[mails.length - 1];
  }

  /** The token in the last mail whose subject is so. */
  async token(app: TestApp, address: string, subject: RegExp): Promise<string> {
    const { link } = await this.last(app, address, subject);
    return link?.searchParams.get('token') ?? '';
  }

  async subjects(app: TestApp, address: string): Promise<string[]> {
    return (await this.of(app, address)).map(({ subject }) => subject);
  }

  /** Takes no mails for a while. */
  hold(): void {
    this.server.senderRefusal = { code: 451, text: 'later' };
  }

  /** Takes them again; those that were refused come at once. */
  async resume(app: TestApp): Promise<void> {
    this.server.senderRefusal = null;
    await app.pool.query(`UPDATE mails SET next_attempt_at = now() WHERE state = 'queued'`);
    await app.pool.query(`SELECT pg_notify('gatehouse_mail', '')`);
  }

  stop(): Promise<void> {
    return this.server.stop();
  }
}

export const VERIFY = /^Confirm your email address/;
export const RESET = /^Set a new password/;
export const PASSWORD_CHANGED = /^Your password .* was changed$/;
export const ADDRESS_CHANGED = /^The email address of your account .* was changed$/;
export const FACTOR_ENABLED = /^The second factor .* was set up$/;
export const FACTOR_DISABLED = /^The second factor .* was removed$/;
export const CHANGED_BACK = /changed back$/;

/** Nothing is on its way any more. */
export async function settle(app: TestApp): Promise<void> {
  await until(async () => {
    const { rows } = await app.pool.query("SELECT 1 FROM mails WHERE state IN ('queued', 'sending') LIMIT 1");
    return rows.length === 0;
  }, 'all mails to be sent');
}

/** As if so much time had passed since the tokens were issued. */
export async function ageTokens(app: TestApp, userId: string, interval: string): Promise<void> {
  await app.pool.query(
    `UPDATE one_time_tokens SET created_at = created_at - $2::interval, expires_at = expires_at - $2::interval WHERE user_id = $1`,
    [userId, interval],
  );
}

/** The same for changes of address. */
export async function ageChanges(app: TestApp, userId: string, interval: string): Promise<void> {
  // Whoever writes there holds the lock of the account: a mail may be being composed.
  await app.pool.query(
    `WITH account AS MATERIALIZED (SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE)
     UPDATE email_changes c SET changed_at = c.changed_at - $2::interval, undo_until = c.undo_until - $2::interval
     FROM account WHERE c.user_id = account.id`,
    [userId, interval],
  );
}

async function read(raw: string): Promise<ReadMail> {
  const { to, subject = '', text = '', html = '' } = await parseMail(raw);
  const [link] = /https?:\/\/\S+$/m.exec(text) ?? [null];
  return { to: to?.[0]?.address ?? '', subject, text, html, link: link ? new URL(link) : null };
}
