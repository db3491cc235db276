import { readdirSync, readFileSync, statSync } from 'node:fs';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import type { VariableName } from '../../src/config/variables.js';
import type { MailContent } from '../../src/mail/mail-content.js';
import { MailQueueService, type NewMail, type QueuedMail } from '../../src/mail/mail-queue.service.js';
import { MailSender } from '../../src/mail/mail-sender.js';
import { MailSweeper } from '../../src/mail/mail-sweeper.js';
import { MailTransport } from '../../src/mail/mail-transport.js';
import { parseMail, TestSmtpServer } from '../support/smtp-server.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { freePort, until } from '../support/uploads.js';

const LINK = `https://app.example.com/account/reset?token=${'aB3_-'.repeat(9)}`;
const LETTER: MailContent = {
  subject: 'Reset your password',
  heading: 'Reset your password',
  paragraphs: ['Somebody asked to reset the password of your account.'],
  action: { label: 'Choose a new password', url: LINK },
  notes: ['The link works once, for an hour.'],
};

type Row = Record<string, any>;

/** An application that composes mails of the kind `letter`. */
class Mailing {
  /** What the composer was asked for. */
  readonly composed: QueuedMail[] = [];
  composer: (mail: QueuedMail) => Promise<MailContent | null> = async () => LETTER;

  private constructor(readonly app: TestApp) {
    this.queue.compose('letter', (mail) => {
      this.composed.push(mail);
      return this.composer(mail);
    });
  }

  static async start(environment: Partial<Record<VariableName, string>>, beside?: TestApp): Promise<Mailing> {
    return new Mailing(await startTestApp(environment, { beside }));
  }

  get queue(): MailQueueService {
    return this.app.app.get(MailQueueService);
  }

  send(cause: string, mail: Partial<NewMail> = {}): Promise<void> {
    return this.queue.queueNow({ kind: 'letter', email: addressOf(cause), cause, ...mail });
  }

  async row(cause: string): Promise<Row> {
    const { rows } = await this.app.pool.query('SELECT * FROM mails WHERE cause = $1', [cause]);
    return rows[0];
  }

  async becomes(cause: string, state: string): Promise<Row> {
    await until(async () => (await this.row(cause)).state === state, `${cause} to be ${state}`);
    return this.row(cause);
  }

  /** Tried and put back. */
  async isPostponed(cause: string): Promise<Row> {
    const isBack = ({ state, last_error, claimed_until }: Row) => state === 'queued' && last_error && !claimed_until;
    await until(async () => isBack(await this.row(cause)), `${cause} to be postponed`);
    return this.row(cause);
  }

  /** Its time has come. */
  async retry(cause: string): Promise<void> {
    await this.app.pool.query('UPDATE mails SET next_attempt_at = now(), last_error = NULL WHERE cause = $1', [cause]);
    await this.announce();
  }

  async announce(): Promise<void> {
    await this.app.pool.query(`SELECT pg_notify('gatehouse_mail', '')`);
  }

  /** What is said about a mail, which is right after its row was written. */
  async said(level: number, id: string): Promise<string[]> {
    const about = () => this.lines(level).filter((line) => line.includes(id));
    await until(() => about().length > 0, `a line about ${id}`);
    return about();
  }

  lines(level: number): string[] {
    return this.app.log.filter((line) => JSON.parse(line).level === level);
  }
}

const addressOf = (cause: string) => `${cause}@example.com`;
const [WARN, ERROR] = [40, 50];

describe('mail by SMTP', () => {
  let server: TestSmtpServer;
  let mailing: Mailing;

  beforeAll(async () => {
    server = await TestSmtpServer.start();
    mailing = await Mailing.start({ SMTP_URL: server.url, MAIL_FROM: 'Robot <robot@mail.example.com>' });
  });
  afterEach(() => {
    mailing.composer = async () => LETTER;
    server.senderRefusal = null;
  });
  afterAll(async () => {
    await mailing.app.close();
    await server.stop();
  });

  const inTransaction = (work: (queue: (mail: NewMail) => Promise<void>) => Promise<void>) =>
    mailing.app.app.get(DataSource).transaction((tx) => work((mail) => mailing.queue.queue(tx, mail)));

  /** What is queued later has been sent; what was to be sent before would have been too. */
  async function hasPassed(): Promise<void> {
    const cause = `marker-${Math.random()}`;
    await mailing.send(cause);
    await mailing.becomes(cause, 'sent');
  }

  it('is text and HTML, marked as automatic, with an id of its own', async () => {
    await mailing.send('whole', { userId: '01890000-0000-7000-8000-000000000001', data: { name: 'Ada' } });
    const { id, sent_at, created_at, attempts } = await mailing.becomes('whole', 'sent');
    const [received] = server.mailsTo('whole@example.com');
    expect(received).toMatchObject({ from: 'robot@mail.example.com', to: ['whole@example.com'] });
    const mail = await parseMail(received.raw);
    expect(mail).toMatchObject({
      from: { name: 'Robot', address: 'robot@mail.example.com' },
      to: [{ address: 'whole@example.com' }],
      subject: LETTER.subject,
      messageId: `<${id}@mail.example.com>`,
    });
    expect(mail.text).toContain(LINK);
    expect(mail.html).toContain(`href="${LINK}"`);
    const headers = Object.fromEntries(mail.headers.map(({ key, value }) => [key, value]));
    expect(headers['auto-submitted']).toBe('auto-generated');
    expect(headers).not.toHaveProperty('x-mailer');
    expect(mailing.composed.find((asked) => asked.id === id)).toEqual({
      id,
      kind: 'letter',
      userId: '01890000-0000-7000-8000-000000000001',
      email: 'whole@example.com',
      data: { name: 'Ada' },
      createdAt: created_at,
      attempts: 1,
    });
    expect([attempts, sent_at >= created_at]).toEqual([1, true]);
  });

  it('goes where its composer says', async () => {
    mailing.composer = async () => ({ ...LETTER, to: 'elsewhere@example.com' });
    await mailing.send('moved');
    await mailing.becomes('moved', 'sent');
    expect(server.received.at(-1)?.to).toEqual(['elsewhere@example.com']);
  });

  it('forgets whom it went to and what it was about', async () => {
    await mailing.send('private', { data: { name: 'Ada' } });
    expect(await mailing.becomes('private', 'sent')).toMatchObject({ email: '', data: {}, cause: 'private' });
  });

  it('is sent if and only if its transaction holds', async () => {
    const undone = inTransaction(async (queue) => {
      await queue({ kind: 'letter', email: 'undone@example.com', cause: 'undone' });
      throw new Error('on purpose');
    });
    await expect(undone).rejects.toThrow('on purpose');
    await inTransaction(async (queue) => {
      await queue({ kind: 'letter', email: 'done@example.com', cause: 'done' });
      await hasPassed();
      expect(server.mailsTo('done@example.com')).toEqual([]);
    });
    await mailing.becomes('done', 'sent');
    expect(server.mailsTo('done@example.com')).toHaveLength(1);
    expect(server.mailsTo('undone@example.com')).toEqual([]);
    // The cause of what did not happen is free.
    await mailing.send('undone');
    await mailing.becomes('undone', 'sent');
  });

  it('is sent once for one cause', async () => {
    const mail = { kind: 'letter', email: 'once@example.com', cause: 'once' };
    await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        at % 2 ? mailing.queue.queueNow(mail) : inTransaction((queue) => queue(mail)),
      ),
    );
    await mailing.becomes('once', 'sent');
    await mailing.queue.queueNow({ ...mail, email: 'twice@example.com' });
    await hasPassed();
    expect(server.mailsTo('once@example.com')).toHaveLength(1);
    expect(server.mailsTo('twice@example.com')).toEqual([]);
  });

  it('without a cause is sent each time', async () => {
    const mail = { kind: 'letter', email: 'often@example.com' };
    await mailing.queue.queueNow(mail);
    await mailing.queue.queueNow(mail);
    await until(() => server.mailsTo(mail.email).length === 2, 'both');
  });

  it('is dropped when there is nothing to say any more', async () => {
    mailing.composer = async () => null;
    await mailing.send('pointless');
    expect(await mailing.becomes('pointless', 'dropped')).toMatchObject({ email: '', sent_at: null, attempts: 1 });
    expect(server.mailsTo('pointless@example.com')).toEqual([]);
  });

  it('waits for a composer that fails, and for one that there is not', async () => {
    mailing.composer = () => Promise.reject(new Error(`no answer about ${LINK}`));
    await mailing.send('failing');
    await mailing.send('unknown', { kind: 'of-tomorrow' });
    expect((await mailing.isPostponed('failing')).last_error).toBe('no answer about <link>');
    expect((await mailing.isPostponed('unknown')).last_error).toBe('nobody composes mails of kind of-tomorrow');
    mailing.composer = async () => LETTER;
    await mailing.retry('failing');
    expect((await mailing.becomes('failing', 'sent')).attempts).toBe(2);
  });

  it.each(['recipient', 'message'] as const)('is tried again when its %s is refused for now', async (at) => {
    const cause = `later-${at}`;
    server.treat(addressOf(cause), { at, code: 451, text: '4.7.1 greylisted, come back later' });
    await mailing.send(cause);
    const { last_error, next_attempt_at, attempts } = await mailing.isPostponed(cause);
    const [{ now }] = (await mailing.app.pool.query('SELECT now()')).rows;
    expect(last_error).toContain('451 4.7.1 greylisted');
    expect(attempts).toBe(1);
    expect(next_attempt_at > now).toBe(true);
    await mailing.retry(cause);
    expect(await mailing.becomes(cause, 'sent')).toMatchObject({ attempts: 2, last_error: null });
    expect(server.mailsTo(addressOf(cause))).toHaveLength(1);
    expect(mailing.composed.filter(({ email }) => email === addressOf(cause))).toHaveLength(2);
  });

  it.each(['recipient', 'message'] as const)('is given up when its %s is refused for good', async (at) => {
    const cause = `never-${at}`;
    server.treat(addressOf(cause), { at, code: 550, text: `5.7.1 ${addressOf(cause)} may not have ${LINK}` });
    await mailing.send(cause);
    const { id, last_error } = await mailing.becomes(cause, 'failed');
    const [line] = await mailing.said(ERROR, id);
    expect(line).toContain('550 5.7.1 <address> may not have <link>');
    expect(last_error).not.toContain('token');
    await mailing.retry(cause);
    await hasPassed();
    expect(server.mailsTo(addressOf(cause))).toEqual([]);
  });

  it('is given up when it could not be sent for a day', async () => {
    server.treat('old@example.com', ...Array(2).fill({ at: 'recipient', code: 450, text: 'busy' }));
    await mailing.send('old');
    const { id } = await mailing.isPostponed('old');
    await mailing.app.pool.query(`UPDATE mails SET created_at = created_at - interval '1 day' WHERE id = $1`, [id]);
    await mailing.retry('old');
    await mailing.becomes('old', 'failed');
    expect(await mailing.said(ERROR, id)).toHaveLength(1);
  });

  it('is tried again when the server refuses who sends, which can be put right', async () => {
    server.senderRefusal = { code: 550, text: 'you may not send' };
    await mailing.send('unwelcome');
    expect((await mailing.isPostponed('unwelcome')).last_error).toContain('550 you may not send');
    server.senderRefusal = null;
    await mailing.retry('unwelcome');
    await mailing.becomes('unwelcome', 'sent');
  });

  it('is not sent again when the connection is lost after the message', async () => {
    server.treat('torn@example.com', 'drop-after-data');
    await mailing.send('torn');
    const { id } = await mailing.becomes('torn', 'unconfirmed');
    expect(await mailing.said(WARN, id)).toHaveLength(1);
    await mailing.retry('torn');
    await mailing.app.app.get(MailSender).poll();
    await hasPassed();
    expect(server.mailsTo('torn@example.com')).toHaveLength(1);
  });

  it('is not sent again when its sender died while sending, but is when it died before', async () => {
    const leave = (cause: string, state: string) =>
      mailing.app.pool.query(
        `INSERT INTO mails (id, kind, email, data, cause, state, attempts, next_attempt_at, claimed_until, created_at)
         VALUES (gen_random_uuid(), 'letter', $1, '{}', $2, $3, 1, now(), now() - interval '1 second', now())`,
        [addressOf(cause), cause, state],
      );
    await leave('died-sending', 'sending');
    await leave('died-before', 'queued');
    await mailing.app.app.get(MailSender).poll();
    const { id } = await mailing.becomes('died-sending', 'unconfirmed');
    await mailing.becomes('died-before', 'sent');
    expect(server.mailsTo('died-sending@example.com')).toEqual([]);
    expect(server.mailsTo('died-before@example.com')).toHaveLength(1);
    expect(mailing.lines(WARN).filter((text) => text.includes(id))).toHaveLength(1);
  });

  it('is left alone while another node has it', async () => {
    await mailing.app.pool.query(
      `INSERT INTO mails (id, kind, email, data, cause, state, attempts, next_attempt_at, claimed_until, created_at)
       SELECT gen_random_uuid(), 'letter', state || '@example.com', '{}', 'held-' || state, state, 1, now(), now() + interval '1 minute', now()
       FROM unnest(ARRAY['queued', 'sending']) state`,
    );
    await mailing.app.app.get(MailSender).poll();
    await hasPassed();
    for (const state of ['queued', 'sending'])
      expect(await mailing.row(`held-${state}`)).toMatchObject({ state, attempts: 1 });
    await mailing.app.pool.query(`DELETE FROM mails WHERE cause LIKE 'held-%'`);
  });

  it('is not sent by a node that has lost it to another meanwhile', async () => {
    let finish = () => {};
    mailing.composer = () => new Promise((resolve) => (finish = () => resolve(LETTER)));
    await mailing.send('lost');
    await until(() => mailing.composed.some(({ email }) => email === 'lost@example.com'), 'the composer');
    await mailing.app.pool.query(`UPDATE mails SET attempts = 2 WHERE cause = 'lost'`);
    finish();
    mailing.composer = async () => LETTER;
    await hasPassed();
    await hasPassed();
    expect(server.mailsTo('lost@example.com')).toEqual([]);
    expect(await mailing.row('lost')).toMatchObject({ state: 'queued', attempts: 2, last_error: null });
    await mailing.app.pool.query(`UPDATE mails SET claimed_until = NULL WHERE cause = 'lost'`);
    await mailing.announce();
    await mailing.becomes('lost', 'sent');
    expect(server.mailsTo('lost@example.com')).toHaveLength(1);
  });

  it('takes no header and no recipient from what users write', async () => {
    const injected = 'Hello\r\nBcc: evil@example.com\r\n\r\nbody';
    mailing.composer = async () => ({ ...LETTER, subject: injected, heading: injected, paragraphs: [injected] });
    await mailing.send('injected');
    await mailing.becomes('injected', 'sent');
    const [{ raw, to }] = server.mailsTo('injected@example.com');
    expect(to).toEqual(['injected@example.com']);
    const mail = await parseMail(raw);
    expect(mail.subject).toBe('Hello Bcc: evil@example.com body');
    expect(mail.headers.map(({ key }) => key)).not.toContain('bcc');
    for (const [at, email] of [
      'a@example.com>\r\nRCPT TO:<evil@example.com',
      'a@example.com, evil@example.com',
      'a@example.com\r\nBcc: evil@example.com',
      'a@example.com,evil@example.com',
      'Evil <evil@example.com>',
    ].entries()) {
      await mailing.send(`address-${at}`, { email });
      expect((await mailing.becomes(`address-${at}`, 'failed')).last_error).toMatch(/address/);
    }
    expect(server.received.flatMap((mail) => mail.to)).not.toContain('evil@example.com');
  });

  it('is counted until it is sent', async () => {
    await mailing.app.pool.query('DELETE FROM mails');
    expect(await mailing.queue.pendingCounts()).toEqual({ queued: 0, failed: 0, unconfirmed: 0, oldestSeconds: 0 });
    await mailing.app.pool.query(
      `INSERT INTO mails (id, kind, email, data, state, attempts, next_attempt_at, claimed_until, created_at)
       SELECT gen_random_uuid(), 'letter', '', '{}', state, 1, now() + interval '1 hour', now() + interval '1 hour', now() - age * interval '1 minute'
       FROM (VALUES ('queued', 1), ('queued', 2), ('sending', 3), ('failed', 9), ('unconfirmed', 9), ('sent', 9), ('dropped', 9)) v (state, age)`,
    );
    const { oldestSeconds, ...counts } = await mailing.queue.pendingCounts();
    expect(counts).toEqual({ queued: 3, failed: 1, unconfirmed: 1 });
    expect(Math.floor(oldestSeconds / 60)).toBe(3);
    await mailing.app.pool.query('DELETE FROM mails');
  });

  it('is kept for a month after it was settled, so that its cause is', async () => {
    await mailing.app.pool.query(
      `INSERT INTO mails (id, kind, email, data, cause, state, attempts, next_attempt_at, claimed_until, created_at)
       SELECT gen_random_uuid(), 'letter', '', '{}', state || days, state, 1, now() + interval '1 hour', now() + interval '1 hour', now() - days * interval '1 day'
       FROM unnest(ARRAY['queued', 'sending', 'sent', 'dropped', 'failed', 'unconfirmed']) state, unnest(ARRAY[29, 31]) days`,
    );
    expect(await mailing.app.app.get(MailSweeper).sweep()).toBe(4);
    const { rows } = await mailing.app.pool.query('SELECT cause FROM mails WHERE created_at < now() - $1::interval', [
      '30 days',
    ]);
    expect(rows.map(({ cause }) => cause).sort()).toEqual(['queued31', 'sending31']);
    await mailing.app.pool.query('DELETE FROM mails');
  });

  it('goes out once however many nodes there are', async () => {
    const other = await Mailing.start({ SMTP_URL: server.url }, mailing.app);
    const causes = Array.from({ length: 60 }, (_, at) => `node-${at}`);
    await Promise.all(causes.map((cause, at) => (at % 2 ? other : mailing).send(cause)));
    for (const cause of causes) expect((await mailing.becomes(cause, 'sent')).attempts).toBe(1);
    for (const cause of causes) expect(server.mailsTo(addressOf(cause))).toHaveLength(1);
    expect(mailing.composed.length).toBeGreaterThan(0);
    await other.app.close();
  });

  it('that is being handed over is waited for by a node that stops', async () => {
    const other = await Mailing.start({ SMTP_URL: server.url });
    server.treat('last@example.com', 'hang-after-data');
    await other.send('last');
    await until(() => server.mailsTo('last@example.com').length === 1, 'the mail');
    expect((await other.row('last')).state).toBe('sending');
    const nest = other.app.app;
    const sender = nest.get(MailSender);
    sender.beforeApplicationShutdown();
    // Nothing is begun any more.
    await other.send('too-late');
    const stopped = sender.onApplicationShutdown();
    server.release();
    await stopped;
    expect(await other.row('last')).toMatchObject({ state: 'sent' });
    expect(await other.row('too-late')).toMatchObject({ state: 'queued', attempts: 0 });
    await other.app.close();
  });
});

describe('a mail server', () => {
  let mailing: Mailing;
  let server: TestSmtpServer | null = null;

  afterEach(async () => {
    await mailing.app.close();
    await server?.stop();
    server = null;
  });

  it('that is down is told of once and costs no mail', async () => {
    const port = await freePort();
    mailing = await Mailing.start({ SMTP_URL: `smtp://127.0.0.1:${port}` });
    await expect(mailing.app.app.get(MailTransport).verify()).rejects.toThrow(/ECONNREFUSED/);
    const causes = ['first', 'second', 'third'];
    for (const cause of causes) await mailing.send(cause);
    for (const cause of causes) expect((await mailing.isPostponed(cause)).last_error).toContain('ECONNREFUSED');
    expect(mailing.lines(WARN).filter((line) => line.includes('cannot be handed over'))).toHaveLength(1);
    server = await TestSmtpServer.start({ port });
    for (const cause of causes) await mailing.retry(cause);
    for (const cause of causes) expect((await mailing.becomes(cause, 'sent')).attempts).toBe(2);
    expect(server.received).toHaveLength(3);
    expect(mailing.app.log.filter((line) => line.includes('handed over again'))).toHaveLength(1);
    await mailing.app.app.get(MailTransport).verify();
  });

  it('that is back gets at once what could not be handed over, and in its time what it has put off itself', async () => {
    const port = await freePort();
    mailing = await Mailing.start({ SMTP_URL: `smtp://127.0.0.1:${port}` });
    await mailing.send('first');
    await mailing.send('second');
    await mailing.isPostponed('first');
    await mailing.isPostponed('second');
    await mailing.app.pool.query(`UPDATE mails SET next_attempt_at = now() + interval '1 hour'`);
    server = await TestSmtpServer.start({ port });
    server.treat(addressOf('greylisted'), { at: 'recipient', code: 451, text: 'come back later' });
    await mailing.send('greylisted');
    await mailing.isPostponed('greylisted');
    server.senderRefusal = { code: 450, text: 'too many of you' };
    await mailing.send('throttled');
    await mailing.isPostponed('throttled');
    server.senderRefusal = null;
    await mailing.app.pool.query(`UPDATE mails SET next_attempt_at = now() + interval '1 hour'`);
    await mailing.retry('first');
    await until(async () => {
      const { rows } = await mailing.app.pool.query(
        `SELECT cause FROM mails WHERE state = 'queued' AND next_attempt_at > now() + interval '50 minutes' ORDER BY cause`,
      );
      return rows.map(({ cause }) => cause).join() === 'greylisted,throttled';
    }, 'the second to be due');
    const { rows } = await mailing.app.pool.query(
      `SELECT 1 FROM mails WHERE cause = 'second' AND next_attempt_at <= now() + interval '10 seconds'`,
    );
    expect(rows).toHaveLength(1);
  });

  it('that says nothing is not waited for by a node that stops', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    mailing = await Mailing.start({ SMTP_URL: `smtp://127.0.0.1:${(silent.address() as AddressInfo).port}` });
    await mailing.send('unheard');
    await until(() => sockets.length > 0, 'the connection');
    const sender = mailing.app.app.get(MailSender);
    sender.beforeApplicationShutdown();
    await sender.onApplicationShutdown();
    expect(await mailing.row('unheard')).toMatchObject({ state: 'queued', claimed_until: null, last_error: null });
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });

  it('is shown who sends', async () => {
    server = await TestSmtpServer.start({ credentials: { user: 'gate', pass: 'open-sesame' } });
    mailing = await Mailing.start({ SMTP_URL: server.url });
    await mailing.send('signed-in');
    await mailing.becomes('signed-in', 'sent');
    expect(server.received[0].user).toBe('gate');
  });

  it('that does not know us is told of without the password', async () => {
    server = await TestSmtpServer.start({ credentials: { user: 'gate', pass: 'open-sesame' } });
    mailing = await Mailing.start({ SMTP_URL: server.url.replace('sesame', 'barley') });
    await mailing.send('stranger');
    expect((await mailing.isPostponed('stranger')).last_error).toContain('535');
    await expect(mailing.app.app.get(MailTransport).verify()).rejects.toThrow(/535/);
    const said = mailing.app.log.join('');
    expect(said).toContain('cannot be handed over');
    for (const form of ['barley', Buffer.from('open-barley').toString('base64')]) expect(said).not.toContain(form);
    expect(server.received).toEqual([]);
  });

  it('that offers encryption gets mail by it, or none', async () => {
    server = await TestSmtpServer.start({ hasTls: true });
    mailing = await Mailing.start({ SMTP_URL: `${server.url}?tls.rejectUnauthorized=false` });
    await mailing.send('encrypted');
    await mailing.becomes('encrypted', 'sent');
    expect(server.received[0].isEncrypted).toBe(true);
    const wary = await Mailing.start({ SMTP_URL: server.url }, mailing.app);
    mailing.app.app.get(MailSender).beforeApplicationShutdown();
    await wary.send('unsafe');
    expect((await wary.isPostponed('unsafe')).last_error).toMatch(/certificate/);
    expect(server.received).toHaveLength(1);
    await wary.app.close();
  });
});

describe('mail without a server', () => {
  let mailing: Mailing;
  let outbox: string;

  beforeAll(async () => {
    mailing = await Mailing.start({ PRODUCT_NAME: 'Würfel & Co' });
    outbox = join(mailing.app.dataDir, 'outbox');
  });
  afterAll(() => mailing.app.close());

  const fileOf = (id: string) => {
    const [name, ...others] = readdirSync(outbox).filter((file) => file.includes(id));
    expect(others).toEqual([]);
    return { name, text: readFileSync(join(outbox, name), 'utf8') };
  };

  it('is a file that its owner alone can read, named without what users write', async () => {
    await mailing.send('filed', { email: 'some/one@example.com' });
    const { id } = await mailing.becomes('filed', 'sent');
    const { name } = fileOf(id);
    expect(name).toMatch(/^\d{8}T\d{6}Z-letter-[0-9a-f-]{36}\.eml$/);
    expect(statSync(outbox).mode & 0o777).toBe(0o700);
    expect(statSync(join(outbox, name)).mode & 0o777).toBe(0o600);
    expect(readdirSync(outbox).filter((file) => !file.endsWith('.eml'))).toEqual([]);
  });

  it('is readable as it is, with its links whole, and a mail to programs', async () => {
    mailing.composer = async () => ({ ...LETTER, paragraphs: ['Grüße aus Köln'] });
    await mailing.send('readable');
    const { text } = fileOf((await mailing.becomes('readable', 'sent')).id);
    expect(text).toContain(`\r\n${LINK}\r\n`);
    expect(text).toContain('Grüße aus Köln');
    const mail = await parseMail(text);
    expect(mail).toMatchObject({
      from: { name: 'Würfel & Co' },
      to: [{ address: 'readable@example.com' }],
      subject: LETTER.subject,
    });
    expect(mail.text).toContain(LINK);
    expect(mail.html).toContain('Würfel &amp; Co');
  });

  it('is told of in the log by its file alone', async () => {
    mailing.composer = async () => LETTER;
    await mailing.send('logged');
    const { name } = fileOf((await mailing.becomes('logged', 'sent')).id);
    const told = () => mailing.app.log.filter((line) => line.includes(name));
    expect(told()).toHaveLength(1);
    expect(JSON.parse(told()[0])).toMatchObject({ level: 30, msg: `A mail (letter) is in ${join('outbox', name)}` });
    const said = mailing.app.log.join('');
    for (const secret of ['token=', 'logged@example.com']) expect(said).not.toContain(secret);
  });

  it('that a killed process may have written is written again, in the same file', async () => {
    await mailing.send('again');
    const { id } = await mailing.becomes('again', 'sent');
    const before = fileOf(id);
    mailing.composer = async () => ({ ...LETTER, heading: 'Written again' });
    await mailing.app.pool.query(
      `UPDATE mails SET state = 'queued', email = 'again@example.com', claimed_until = now() - interval '1 second' WHERE id = $1`,
      [id],
    );
    await mailing.announce();
    await until(async () => (await mailing.row('again')).state === 'sent', 'the second writing');
    const after = fileOf(id);
    expect(after.name).toBe(before.name);
    expect(after.text).toContain('Written again');
  });

  it('is possible when the outbox can be written', () => mailing.app.app.get(MailTransport).verify());
});
