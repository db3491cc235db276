import { randomBytes } from 'node:crypto';
import type { TestUser } from './builders.js';
import { ADDRESS_CHANGED, type Mailboxes, RESET, VERIFY } from './mailboxes.js';
import type { TestApp } from './test-app.js';

export const AUTH = '/api/v1/auth';
export const ME = '/api/v1/users/me';
export const NEW_PASSWORD = 'Another-Horse-2';
export const INVALID = { status: 400, error_code: 'invalid_one_time_token' };

type Named = Pick<TestUser, 'email'>;

export const someEmail = (): string => `${randomBytes(6).toString('hex')}@example.com`;

/** The calls around mails, as an owner or a thief makes them. Answers come as their body, with the HTTP status. */
export class AccountMails {
  constructor(
    private readonly app: TestApp,
    private readonly mailboxes: Mailboxes,
  ) {}

  async post(call: string, body: object = {}, headers: Record<string, string> = {}): Promise<any> {
    const answer = await this.app.http.post(`${AUTH}/${call}`).set(headers).send(body);
    return { ...answer.body, status: answer.status };
  }

  forgot = (email: string) => this.post('forgot-password', { email });
  resend = (email: string) => this.post('resend-verification', { email });
  verify = (token: string) => this.post('verify-email', { token });
  undo = (token: string) => this.post('undo-email-change', { token });
  reset = (token: string, password = NEW_PASSWORD, more: object = {}) =>
    this.post('reset-password', { token, new_password: password, ...more });

  async resetToken({ email }: Named): Promise<string> {
    expect((await this.forgot(email)).status).toBe(202);
    return this.mailboxes.token(this.app, email, RESET);
  }

  async verifyToken({ email }: Named): Promise<string> {
    expect((await this.resend(email)).status).toBe(202);
    return this.mailboxes.token(this.app, email, VERIFY);
  }

  /** Moves the account, and answers with the token that the address before got. */
  async move({ auth, email }: { auth: Record<string, string> } & Named, to: string): Promise<string> {
    await this.app.http.patch(ME).set(auth).send({ email: to }).expect(200);
    return this.mailboxes.token(this.app, email, ADDRESS_CHANGED);
  }

  async rowOf({ id }: Pick<TestUser, 'id'>): Promise<any> {
    return (await this.app.pool.query('SELECT * FROM users WHERE id = $1', [id])).rows[0];
  }

  async auditOf(id: string, action: string): Promise<any[]> {
    const { rows } = await this.app.pool.query(
      'SELECT * FROM audit_log WHERE target_id = $1 AND action = $2 ORDER BY id',
      [id, action],
    );
    return rows;
  }

  async countMails({ email }: Named, subject: RegExp): Promise<number> {
    return (await this.mailboxes.subjects(this.app, email)).filter((text) => subject.test(text)).length;
  }
}
