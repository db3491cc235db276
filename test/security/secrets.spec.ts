import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SCOPES } from '../../src/common/auth/scope.js';
import { ADDRESS_CHANGED, PASSWORD_CHANGED, RESET, settle, VERIFY } from '../support/mailboxes.js';
import { anAdmin, type SignedIn } from '../support/builders.js';
import { tokenInOutbox } from '../support/outbox.js';
import { codeOf, freshCode, wrongCodeFor } from '../support/second-factor.js';
import { closeSockets, connect, refusal } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { until } from '../support/uploads.js';

const AUTH = '/api/v1/auth';
const ME = '/api/v1/users/me';
/** Long enough to be found by accident nowhere. */
const secret = (what: string) => `Secret-${what}-${randomBytes(4).toString('hex')}-1A`;

describe('S53 what must stay secret', () => {
  let app: TestApp;
  let admin: SignedIn;
  /** Whatever the flows below used or were given, with a name to tell it by. */
  let secrets: Map<string, string>;

  const keep = <T extends string>(name: string, value: T): T => {
    expect(value).toEqual(expect.stringMatching(/^[^\s]{6,}$/));
    secrets.set(name, value);
    return value;
  };
  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    app.http.post(`${AUTH}/${path}`).set(headers).send(body);
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
  const loggedIn = (name: string, body: any): { auth: Record<string, string>; refreshToken: string } => {
    keep(`${name}: access token`, body.access_token);
    keep(`${name}: its signature`, body.access_token.split('.')[2]);
    return {
      auth: bearer(body.access_token),
      refreshToken: keep(`${name}: refresh token`, body.refresh_token),
    };
  };
  const mailed = (to: string, subject: RegExp) => tokenInOutbox(app, to, subject);
  const auditText = async () =>
    (await app.pool.query('SELECT to_jsonb(a)::text AS row FROM audit_log a')).rows.map(({ row }) => row).join('\n');
  const hashes = async (): Promise<string[]> =>
    (await app.pool.query('SELECT password_hash FROM users')).rows.map(({ password_hash: hash }) => hash);
  const expectSilent = (text: string) => {
    expect([...secrets].filter(([, value]) => text.includes(value)).map(([name]) => name)).toEqual([]);
    expect(text).not.toMatch(/\$2[aby]\$|Bearer ey|gh_[0-9A-Za-z]{22}_/);
  };
  /** The line of each such request, which may be written just after its answer has gone. */
  const lineOf = async (requestId: string) => {
    const find = () =>
      app.log.map((line) => JSON.parse(line)).find((line) => line.request_id === requestId && line.msg === 'request');
    await until(async () => find() !== undefined, 'the line of the request');
    return find();
  };

  beforeAll(async () => {
    app = await startTestApp();
    admin = await anAdmin(app);
  });
  beforeEach(() => {
    secrets = new Map();
  });
  afterEach(closeSockets);
  afterAll(() => app.close());

  /** A person's whole life with the program, step by step. */
  const live = async () => {
    const [first, second, third] = ['first', 'second', 'third'].map((name) => keep(`${name} password`, secret(name)));
    const wrong = keep('mistyped password', secret('typo'));
    const email = `${randomUUID()}@example.com`;
    await post('register', { email, password: first, confirm_password: wrong }).expect(422);
    await post('register', { email, password: first }).expect(201);
    await post('register', { email, password: first }).expect(409);
    await post('verify-email', { token: keep('verification', await mailed(email, VERIFY)) }).expect(200);
    await post('login', { email, password: wrong }).expect(401);
    let user = loggedIn('login', (await post('login', { email, password: first }).expect(200)).body);
    const { body: form } = await app.http.post('/auth/login').type('form').send({ username: email, password: first });
    loggedIn('form', form.data);
    const { body: renewed } = await post('refresh', { refresh_token: user.refreshToken }).expect(200);
    user = loggedIn('refresh', renewed);
    const change = { current_password: first, new_password: second };
    await post('change-password', { ...change, current_password: wrong }, user.auth).expect(400);
    await post('change-password', change, user.auth).expect(200);
    expect(await mailed(email, PASSWORD_CHANGED)).toBe('');
    await post('forgot-password', { email }).expect(202);
    const reset = keep('reset', await mailed(email, RESET));
    await post('reset-password', { token: reset, new_password: 'short' }).expect(422);
    await post('reset-password', { token: reset, new_password: third }).expect(200);
    await post('reset-password', { token: reset, new_password: third }).expect(400);
    user = loggedIn('after the reset', (await post('login', { email, password: third }).expect(200)).body);
    return { email, password: third, wrong, ...user };
  };

  const setUpFactor = async ({ email, password, auth }: Awaited<ReturnType<typeof live>>) => {
    const { body: setup } = await post('mfa/setup', { password }, auth).expect(200);
    const totp = keep('TOTP secret', setup.secret);
    await post('mfa/confirm', { code: wrongCodeFor(totp) }, auth).expect(400);
    const { body } = await post('mfa/confirm', { code: codeOf(totp) }, auth).expect(200);
    const codes: string[] = body.recovery_codes;
    codes.forEach((code, i) => keep(`recovery code ${i}`, code));
    codes.forEach((code, i) => keep(`recovery code ${i} without dashes`, code.replaceAll('-', '')));
    const { body: login } = await post('login', { email, password }).expect(200);
    const mfa_token = keep('MFA token', login.mfa_token);
    await post('mfa/verify', { mfa_token, code: wrongCodeFor(totp) }).expect(401);
    await post('mfa/verify', { mfa_token: `${mfa_token}x`, recovery_code: codes[1] }).expect(401);
    loggedIn('by recovery code', (await post('mfa/verify', { mfa_token, recovery_code: codes[0] }).expect(200)).body);
    const { body: me } = await app.http.get(ME).set(auth).expect(200);
    const proof = async () => ({ password, code: await freshCode(app, me.id, totp) });
    const { body: more } = await post('mfa/recovery-codes', await proof(), auth).expect(200);
    (more.recovery_codes as string[]).forEach((code, i) => keep(`new recovery code ${i}`, code));
    await post('mfa/disable', await proof(), auth).expect(204);
    return { id: me.id as string };
  };

  const useKeysAndLinks = async ({ auth, wrong }: Awaited<ReturnType<typeof live>>) => {
    const { body: created } = await app.http.post(`${ME}/api-keys`).set(auth).send({ name: 'x' }).expect(201);
    const key = keep('API key', created.key);
    keep('secret of the API key', key.split('_')[2]);
    await app.http.get(ME).set('X-API-Key', key).expect(200);
    await app.http.get('/api/v1/admin/users').set(bearer(key)).expect(403);
    const client = await connect(app, { accessToken: key });
    expect(await client.ask('authenticate', { token: wrong })).toMatchObject({ ok: false });
    const cookie = keep('cookie', secret('cookie'));
    await app.http.get(`${ME}?access_token=${key}&password=${wrong}`).set({ ...auth, Cookie: `session=${cookie}` });
    const { body: ticket } = await app.http.post('/api/v1/broadcasting/stream/ticket').set(auth).expect(201);
    await app.http
      .get(`/api/v1/broadcasting/stream?ticket=${keep('ticket', ticket.ticket)}&channel=private-user.${randomUUID()}`)
      .expect(403);
    const { body: file } = await app.http.post('/api/v1/uploads').set(auth).attach('file', Buffer.from('x'), 'x.txt');
    const { body: link } = await app.http.post(`/api/v1/uploads/${file.id}/signed-url`).set(auth).send({}).expect(200);
    const { pathname, search, searchParams } = new URL(link.url);
    keep('signature of the link', searchParams.get('signature') ?? '');
    await app.http.get(pathname + search).expect(200);
    await app.http.delete(`${ME}/api-keys/${created.id}`).set(auth).expect(204);
    await app.http.get(ME).set('X-API-Key', key).expect(401);
    expect(await refusal(app, { accessToken: key })).toMatchObject({ error_code: 'invalid_token' });
  };

  it('is in no line of the log and in no entry of the audit log, whatever a person does and whatever goes wrong', async () => {
    const from = app.log.length;
    const person = await live();
    const { id } = await setUpFactor(person);
    await useKeysAndLinks(person);
    const moved = `${randomUUID()}@example.com`;
    await app.http.patch(ME).set(person.auth).send({ email: moved }).expect(200);
    const undo = keep('undoing', await mailed(person.email, ADDRESS_CHANGED));
    keep('verification of the new address', await mailed(moved, VERIFY));
    // As the links are opened, and as they come in by mistake.
    for (const page of ['verify', 'reset', 'undo']) await app.http.get(`/account/${page}?token=${undo}`).expect(200);
    await app.http.get(`${AUTH}/undo-email-change?token=${undo}`).expect(405);
    await post('undo-email-change', { token: undo }).expect(200);
    await app.http.get(`/metrics?token=${person.wrong}`).set(bearer(person.wrong));
    await app.http.post(`${AUTH}/login`).set('Content-Type', 'application/json').send(`{"password":"${person.wrong}`);
    await app.http.patch(`/api/v1/admin/users/${id}`).set(admin.auth).send({ is_active: false }).expect(200);
    await post('login', { email: person.email, password: person.password }).expect(403);
    await app.http.delete(`/api/v1/admin/users/${id}`).set(admin.auth).expect(204);
    await settle(app);
    const { headers } = await app.http.get('/nowhere');
    await lineOf(headers['x-request-id']);

    expect(secrets.size).toBeGreaterThan(40);
    expectSilent(app.log.slice(from).join(''));
    expectSilent(await auditText());
    const actions = (await app.pool.query('SELECT DISTINCT action FROM audit_log')).rows.map(({ action }) => action);
    expect(actions).toEqual(
      expect.arrayContaining([
        ...['login.succeeded', 'login.failed', 'password.changed', 'password.reset', 'email.verified', 'email.changed'],
        ...[
          'email.change_undone',
          'api_key.created',
          'api_key.refused',
          'mfa.enabled',
          'mfa.disabled',
          'user.disabled',
        ],
        ...['mfa.recovery_code_used', 'mfa.recovery_codes_renewed', 'user.registered', 'user.deleted'],
      ]),
    );
  });

  it('is not in the line about a mail in the outbox, which names the file and nobody', async () => {
    const from = app.log.length;
    const email = `${randomUUID()}@example.com`;
    await post('register', { email, password: keep('password', secret('mail')) }).expect(201);
    keep('verification', await mailed(email, VERIFY));
    const isMail = (line: string) => /outbox/.test(JSON.parse(line).msg);
    await until(async () => app.log.slice(from).some(isMail), 'the line about the mail');
    const [line] = app.log.slice(from).filter(isMail);
    const [, name] = /outbox\/(\S+\.eml)/.exec(JSON.parse(line).msg) ?? [];
    expect(readdirSync(join(app.dataDir, 'outbox'))).toContain(name);
    expect(line).not.toContain(email.split('@')[0]);
    expectSilent(line);
  });

  it.each(['sessions', 'api_keys', 'second_factors', 'one_time_tokens', 'mails', 'audit_log'])(
    'is not in the stack of a fault either: the table %s is away',
    async (table) => {
      const person = await live();
      const { body: key } = await app.http.post(`${ME}/api-keys`).set(person.auth).send({ name: 'x' }).expect(201);
      keep('API key', key.key);
      keep('secret of the API key', key.key.split('_')[2]);
      const next = keep('next password', secret('next'));
      const token = keep('a token', randomBytes(32).toString('base64url'));
      const from = app.log.length;
      await app.pool.query(`ALTER TABLE ${table} RENAME TO ${table}_away`);
      const answers = [];
      try {
        answers.push(
          await post('register', { email: `${randomUUID()}@example.com`, password: next }),
          await post('login', { email: person.email, password: person.password }),
          await post('refresh', { refresh_token: person.refreshToken }),
          await post('mfa/setup', { password: person.password }, person.auth),
          await post('change-password', { current_password: person.password, new_password: next }, person.auth),
          await post('forgot-password', { email: person.email }),
          await post('reset-password', { token, new_password: next }),
          await post('verify-email', { token }),
          await app.http
            .post(`${ME}/api-keys`)
            .set(person.auth)
            .send({ name: 'y', scopes: SCOPES.slice(0, 2) }),
          await app.http.get(ME).set('X-API-Key', key.key),
          await app.http
            .patch(ME)
            .set(person.auth)
            .send({ email: `${randomUUID()}@example.com` }),
        );
      } finally {
        await app.pool.query(`ALTER TABLE ${table}_away RENAME TO ${table}`);
      }
      expect(answers.filter(({ status }) => status === 500).length).toBeGreaterThan(0);
      for (const { headers } of answers) await lineOf(headers['x-request-id']);
      for (const { text } of answers.filter(({ status }) => status >= 500)) expectSilent(text);
      (await hashes()).forEach((hash, i) => keep(`hash ${i}`, hash));
      expectSilent(app.log.slice(from).join(''));
    },
  );

  it('is not told of a mail server that is away, whose URL holds a password', async () => {
    const password = keep('password of the mail server', 'Smtp-Secret-7d1f');
    const away = await startTestApp({ SMTP_URL: `smtp://somebody:${password}@127.0.0.1:1` });
    try {
      const email = `${randomUUID()}@example.com`;
      await away.http
        .post(`${AUTH}/register`)
        .send({ email, password: keep('password', secret('away')) })
        .expect(201);
      await until(async () => {
        const { rows } = await away.pool.query('SELECT 1 FROM mails WHERE attempts > 0');
        return rows.length > 0;
      }, 'an attempt to send');
      expectSilent(away.log.join(''));
    } finally {
      await away.close();
    }
  });

  it('logins and refusals stand in both logs under the request id of their answer', async () => {
    const person = await live();
    const { body: key } = await app.http.post(`${ME}/api-keys`).set(person.auth).send({ name: 'x' }).expect(201);
    await app.http.delete(`${ME}/api-keys/${key.id}`).set(person.auth).expect(204);
    const agent = { 'User-Agent': 'an agent' };
    const answers: [action: string, answer: { headers: Record<string, string>; status: number }][] = [
      ['login.succeeded', await post('login', { email: person.email, password: person.password }, agent).expect(200)],
      ['login.failed', await post('login', { email: person.email, password: person.wrong }, agent).expect(401)],
      ['login.failed', await post('login', { email: `${randomUUID()}@example.com`, password: 'x' }, agent).expect(401)],
      [
        'api_key.refused',
        await app.http
          .get(ME)
          .set({ ...agent, 'X-API-Key': key.key })
          .expect(401),
      ],
    ];
    for (const [action, { headers, status }] of answers) {
      const requestId = headers['x-request-id'];
      const find = () => app.pool.query('SELECT * FROM audit_log WHERE request_id = $1', [requestId]);
      await until(async () => (await find()).rows.length > 0, `the entry of ${action}`);
      expect((await find()).rows).toMatchObject([{ action, ip_address: '127.0.0.1', user_agent: 'an agent' }]);
      expect(await lineOf(requestId)).toMatchObject({ status, ip: '127.0.0.1' });
    }
  });
});
