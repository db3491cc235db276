import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type supertest from 'supertest';
import { hasTerminals, Terminal } from '../support/terminal.js';
import { Program, temporaryDataDir } from '../support/program.js';
import { codeOf } from '../support/second-factor.js';
import { until } from '../support/uploads.js';

const ADMIN = { email: 'root@example.com', password: 'Root-Of-Everything-1' };
const NEW_PASSWORD = 'Another-Good-One-2';
const COMMANDS = [
  ...['start', 'migrate', 'admin:create', 'admin:reset-password', 'doctor', 'storage:check', 'epoch:renew'],
  ...['openapi', 'asyncapi'],
];

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

const data = temporaryDataDir();
const environment = {
  PORT: '0',
  DATA_DIR: data.path,
  BCRYPT_COST: '10',
  RATE_LIMIT_ENABLED: 'false',
  LOGIN_LOCKOUT: '3/900',
  ADMIN_EMAIL: ADMIN.email,
  ADMIN_PASSWORD: ADMIN.password,
};

async function run(args: string[], input?: string, more: Record<string, string> = {}): Promise<Run> {
  const program = new Program({ ...environment, ...more }, args, undefined, input);
  const { code } = await program.exit();
  return { code, stdout: program.stdout, stderr: program.stderr };
}

const passwordIn = ({ stdout }: Run): string => /^ {2}password {2}(\S{20})$/m.exec(stdout)?.[1] ?? '';

afterAll(() => data.remove());

describe('the command line', () => {
  it('tells of every command in one line', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^ {2}${name}\\b.* {2,}\\S`, 'm'));
  });

  it.each(COMMANDS.filter((name) => name !== 'start'))('shows how %s is used', async (name) => {
    const { code, stdout } = await run([name, '--help']);
    expect(stdout).toMatch(new RegExp(`Examples:\\n {2}gatehouse ${name}`));
    expect(code).toBe(0);
  });

  it.each([
    ['an unknown command', ['migrte'], /unknown command 'migrte'\n\(Did you mean migrate\?\)/],
    ['an unknown option', ['doctor', '--jsn'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    ['an argument too many', ['migrate', 'now'], /too many arguments/],
    ['an account that is missing', ['admin:reset-password'], /missing required argument 'account'/],
    ['a new admin without an address', ['admin:create'], /takes --email <address>/],
    ['an account to promote that is missing', ['admin:create', '--promote'], /either --email <address> or --username/],
    [
      'two accounts to promote',
      ['admin:create', '--promote', '--email', 'a@example.com', '--username', 'a_name'],
      /either --email <address> or --username/,
    ],
    [
      'a password for an account that has one',
      ['admin:create', '--promote', '--username', 'a_name', '--password-stdin'],
      /leaves the password as it is/,
    ],
    [
      'a new account to enable',
      ['admin:create', '--email', 'a@example.com', '--enable'],
      /--enable goes with --promote/,
    ],
    [
      'two sources of a password',
      ['admin:create', '--email', 'a@example.com', '--password-stdin', '--password-prompt'],
      /'--password-(prompt|stdin)' cannot be used with option/,
    ],
    [
      'a prompt without a terminal',
      ['admin:create', '--email', 'a@example.com', '--password-prompt'],
      /asks on a terminal, and there is none/,
    ],
    ['a password as an argument', ['admin:create', '--email', 'a@example.com', '--password', 'x'], /unknown option/],
    ['a header without a peer', ['doctor', '--forwarded-for', '203.0.113.7'], /goes with --request-ip/],
    ['a peer that is no address', ['doctor', '--request-ip', 'localhost'], /takes an address/],
  ])('exits with 2 at %s, and does nothing', async (_what, args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
    expect(readdirSync(data.path)).toEqual([]);
  });

  it.each([
    ['nothing', ''],
    ['an empty line', '\n'],
    ['two lines', 'Good-Password-1\nGood-Password-1\n'],
    ['more than a password', 'x'.repeat(5_000)],
  ])('exits with 2 when standard input has %s', async (_what, input) => {
    const { code, stderr } = await run(['admin:create', '--email', 'a@example.com', '--password-stdin'], input);
    expect(stderr).toMatch(/standard input/);
    expect(code).toBe(2);
  });
});

describe('beside a running server', () => {
  let server: Program;
  let http: ReturnType<typeof supertest>;
  let root: { Authorization: string };

  const login = (name: string, password: string) => http.post('/api/v1/auth/login').send({ username: name, password });
  const signIn = async (name: string, password: string): Promise<{ Authorization: string }> => {
    const { body } = await login(name, password).expect(200);
    return { Authorization: `Bearer ${body.access_token}` };
  };
  const register = async (username: string): Promise<{ id: string; email: string; password: string }> => {
    const account = { email: `${username}@example.com`, password: 'Correct-Horse-1' };
    const { body } = await http
      .post('/api/v1/auth/register')
      .send({ ...account, username })
      .expect(201);
    return { id: body.id, ...account };
  };
  const audited = async (action: string, targetId: string): Promise<any[]> =>
    (await http.get('/api/v1/admin/audit-log').query({ action, target_id: targetId }).set(root).expect(200)).body.items;
  const disable = (id: string) =>
    http.patch(`/api/v1/admin/users/${id}`).set(root).send({ is_active: false }).expect(200);
  const mails = (): string[] => {
    const outbox = join(data.path, 'outbox');
    if (!existsSync(outbox)) return [];
    // One that is being written is about to have another name.
    const written = readdirSync(outbox).filter((name) => name.endsWith('.eml'));
    return written.map((name) => readFileSync(join(outbox, name), 'utf8'));
  };

  beforeAll(async () => {
    server = new Program(environment);
    http = await server.http();
    root = await signIn(ADMIN.email, ADMIN.password);
  });
  afterAll(async () => {
    server.signal('SIGTERM');
    expect((await server.exit()).code).toBe(0);
  });

  it('the first admin is in the audit log', async () => {
    const { body: me } = await http.get('/api/v1/users/me').set(root).expect(200);
    const [entry] = await audited('user.created', me.id);
    expect(entry).toMatchObject({ actor_id: null, ip_address: null, details: { by: 'first start', role: 'admin' } });
    expect(mails().filter((mail) => mail.includes(ADMIN.email))).toEqual([]);
  });

  describe('admin:create', () => {
    it('makes an administrator with a password that is printed once', async () => {
      const made = await run(['admin:create', '--email', 'Ann.Lee@example.com']);
      expect(made).toMatchObject({ code: 0, stderr: '' });
      expect(made.stdout).toMatch(/^ {2}email {5}Ann\.Lee@example\.com\n {2}username {2}ann_lee$/m);
      const password = passwordIn(made);
      expect(made.stdout.split(password)).toHaveLength(2);
      const auth = await signIn('ann_lee', password);
      const { body } = await http.get('/api/v1/users/me').set(auth).expect(200);
      expect(body).toMatchObject({ email: 'Ann.Lee@example.com', role: 'admin', is_active: true });
      await http.get('/api/v1/admin/stats').set(auth).expect(200);
      const [entry] = await audited('user.created', body.id);
      expect(entry).toMatchObject({
        actor_id: null,
        target_type: 'user',
        ip_address: null,
        user_agent: null,
        details: { by: 'command line', role: 'admin' },
      });
      expect(server.stdout + server.stderr).not.toContain(password);
      await until(
        () => mails().some((mail) => mail.includes('Ann.Lee@example.com')),
        'the mail that verifies the address',
      );
    });

    it('takes a password from a pipe, and repeats it nowhere', async () => {
      const args = ['admin:create', '--email', 'piped@example.com', '--username', 'Piped', '--password-stdin'];
      const made = await run(args, `${NEW_PASSWORD}\n`);
      expect(made.code).toBe(0);
      expect(made.stdout + made.stderr).not.toContain(NEW_PASSWORD);
      await login('Piped', NEW_PASSWORD).expect(200);
    });

    it('gives a derived name that is taken another end', async () => {
      await register('double');
      const made = await run(['admin:create', '--email', 'double@elsewhere.example.com']);
      expect(made.stdout).toMatch(/^ {2}username {2}double_\d{7}$/m);
    });

    it.each([
      ['no address', ['--email', 'nobody'], undefined, /email must be a valid email address/],
      ['no name', ['--email', 'x@example.com', '--username', 'a b'], undefined, /username may contain letters/],
      ['a weak password', ['--email', 'x@example.com', '--password-stdin'], 'short1A', /at least 8 characters/],
      ['its own address', ['--email', 'x@example.com', '--password-stdin'], 'x@example.com', /must not be the email/],
      ['an address that is taken', ['--email', ADMIN.email.toUpperCase()], undefined, /add --promote .*reset-password/],
      [
        'a name that is taken',
        ['--email', 'x@example.com', '--username', 'ROOT'],
        undefined,
        /choose another with --username/,
      ],
    ])('exits with 1 at %s, with one line for each fault', async (_what, args, input, message) => {
      const { code, stdout, stderr } = await run(['admin:create', ...args], input);
      expect(stderr).toMatch(message);
      expect(
        stderr
          .trimEnd()
          .split('\n')
          .filter((line) => !line.startsWith('gatehouse: ')),
      ).toEqual([]);
      expect(stdout).toBe('');
      expect(code).toBe(1);
      const { body } = await http.get('/api/v1/admin/users').query({ search: 'x@example.com' }).set(root).expect(200);
      expect(body.total).toBe(0);
    });

    it('of two at once for one address one is made', async () => {
      const args = ['admin:create', '--email', 'twins@example.com'];
      const runs = await Promise.all([run(args), run(args)]);
      expect(runs.map(({ code }) => code).sort()).toEqual([0, 1]);
      expect(runs.filter((made) => passwordIn(made) !== '')).toHaveLength(1);
    });

    it('--promote makes an administrator of a user, at once', async () => {
      const user = await register('promoted');
      const auth = await signIn('promoted', user.password);
      await http.get('/api/v1/admin/stats').set(auth).expect(403);
      const first = await run(['admin:create', '--promote', '--username', 'Promoted']);
      expect(first).toMatchObject({ code: 0, stdout: 'promoted@example.com (promoted) is an administrator now.\n' });
      await http.get('/api/v1/admin/stats').set(auth).expect(200);
      const [entry] = await audited('user.role_changed', user.id);
      expect(entry).toMatchObject({ actor_id: null, details: { by: 'command line', from: 'user', to: 'admin' } });
      const again = await run(['admin:create', '--promote', '--email', user.email]);
      expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('is an administrator already') });
      expect(await audited('user.role_changed', user.id)).toHaveLength(1);
    });

    it('--promote leaves a disabled account alone, unless --enable says otherwise', async () => {
      const user = await register('sleeping');
      await disable(user.id);
      const refused = await run(['admin:create', '--promote', '--email', user.email]);
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('is disabled; add --enable') });
      await login('sleeping', user.password).expect(403);
      const { code, stdout } = await run(['admin:create', '--promote', '--enable', '--email', user.email]);
      expect([code, stdout]).toEqual([0, expect.stringContaining('is enabled again')]);
      await login('sleeping', user.password).expect(200);
      expect(await audited('user.enabled', user.id)).toHaveLength(1);
    });

    it('--promote of nobody exits with 1', async () => {
      const { code, stderr } = await run(['admin:create', '--promote', '--username', 'nobody_there']);
      expect([code, stderr]).toEqual([1, 'gatehouse: no account has the email or username nobody_there\n']);
    });
  });

  describe('admin:reset-password', () => {
    const anAdmin = async (name: string): Promise<{ id: string; email: string; password: string }> => {
      const user = await register(name);
      await run(['admin:create', '--promote', '--username', name]);
      return user;
    };

    it('replaces a lost password: sessions end, the owner is told, it is noted', async () => {
      const user = await anAdmin('forgetful');
      const auth = await signIn('forgetful', user.password);
      const reset = await run(['admin:reset-password', user.email.toUpperCase()]);
      expect(reset).toMatchObject({ code: 0, stderr: '' });
      await http.get('/api/v1/users/me').set(auth).expect(401);
      await login('forgetful', user.password).expect(401);
      await login('forgetful', passwordIn(reset)).expect(200);
      const [entry] = await audited('password.reset', user.id);
      expect(entry).toMatchObject({ actor_id: null, details: { by: 'command line' } });
      await until(
        () => mails().some((mail) => mail.includes(user.email) && /Subject: Your password/.test(mail)),
        'the mail that tells of it',
      );
      expect(mails().join('')).not.toContain(passwordIn(reset));
    });

    it('takes a password from a pipe, and a username', async () => {
      const user = await anAdmin('piper');
      const reset = await run(['admin:reset-password', 'Piper', '--password-stdin'], NEW_PASSWORD);
      expect(reset.code).toBe(0);
      expect(reset.stdout + reset.stderr).not.toContain(NEW_PASSWORD);
      await login(user.email, NEW_PASSWORD).expect(200);
    });

    it('refuses a weak password, and changes nothing', async () => {
      const user = await anAdmin('weak');
      const auth = await signIn('weak', user.password);
      const { code, stderr } = await run(['admin:reset-password', 'weak', '--password-stdin'], 'weak');
      expect([code, stderr]).toEqual([
        1,
        expect.stringContaining('Password must not be the email address or username'),
      ]);
      await http.get('/api/v1/users/me').set(auth).expect(200);
    });

    it('is for administrators, unless --any-user says otherwise', async () => {
      const user = await register('ordinary');
      const refused = await run(['admin:reset-password', 'ordinary']);
      expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('add --any-user') });
      await login('ordinary', user.password).expect(200);
      const reset = await run(['admin:reset-password', 'ordinary', '--any-user']);
      const auth = await signIn('ordinary', passwordIn(reset));
      await http.get('/api/v1/admin/stats').set(auth).expect(403);
    });

    it('leaves a disabled account alone, unless --enable says otherwise', async () => {
      const user = await anAdmin('asleep');
      await disable(user.id);
      const refused = await run(['admin:reset-password', 'asleep']);
      expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('add --enable') });
      const reset = await run(['admin:reset-password', 'asleep', '--enable']);
      expect(reset.stdout).toContain('is enabled again');
      await login('asleep', passwordIn(reset)).expect(200);
    });

    it('lets in whom wrong passwords have locked out', async () => {
      const user = await anAdmin('locked');
      for (let n = 0; n < 3; n++) await login('locked', 'wrong').expect(401);
      await login('locked', user.password).expect(429);
      const password = passwordIn(await run(['admin:reset-password', 'locked']));
      await until(async () => (await login('locked', password)).status === 200, 'the lockout to end');
    });

    it('removes the second factor only with --remove-mfa', async () => {
      const user = await anAdmin('two_factors');
      const auth = await signIn('two_factors', user.password);
      const setup = await http.post('/api/v1/auth/mfa/setup').set(auth).send({ password: user.password }).expect(200);
      const { secret } = setup.body;
      await http
        .post('/api/v1/auth/mfa/confirm')
        .set(auth)
        .send({ code: codeOf(secret) })
        .expect(200);
      const kept = await run(['admin:reset-password', 'two_factors']);
      expect(kept.stdout).toContain('asks for a code of its authenticator app');
      expect((await login('two_factors', passwordIn(kept)).expect(200)).body).toMatchObject({ mfa_required: true });
      const removed = await run(['admin:reset-password', 'two_factors', '--remove-mfa']);
      expect(removed.stdout).toContain('Its second factor was removed.');
      await until(
        () =>
          mails().some((mail) => mail.includes(user.email) && /Subject: The second factor .*\s.*removed/.test(mail)),
        'the mail',
      );
      expect((await login('two_factors', passwordIn(removed)).expect(200)).body).toHaveProperty('access_token');
      const [entry] = await audited('mfa.disabled', user.id);
      expect(entry).toMatchObject({ actor_id: null, details: { by: 'command line' } });
    });

    it('of nobody exits with 1', async () => {
      const { code, stderr } = await run(['admin:reset-password', 'nobody@example.com']);
      expect([code, stderr]).toEqual([1, 'gatehouse: no account has the email or username nobody@example.com\n']);
    });
  });

  (hasTerminals ? describe : describe.skip)('on a terminal', () => {
    const prompt = (...answers: string[]): Promise<{ code: number | null; shown: string }> =>
      new Terminal(environment, ['admin:create', '--email', 'typed@example.com', '--password-prompt']).answer(
        /(Password|The same again): $/,
        answers,
      );

    it('asks twice, and shows nothing of what is typed', async () => {
      const differing = await prompt(NEW_PASSWORD, `${NEW_PASSWORD}x`);
      expect(differing).toMatchObject({ code: 2, shown: expect.stringContaining('the two passwords differ') });
      const { code, shown } = await prompt(NEW_PASSWORD, NEW_PASSWORD);
      expect(shown).toContain('An administrator was made');
      expect(shown).not.toContain(NEW_PASSWORD);
      expect(code).toBe(0);
      await login('typed@example.com', NEW_PASSWORD).expect(200);
    });

    it('ends at Ctrl-C', async () => {
      const { code, shown } = await prompt('\u0003');
      expect([code, shown]).toEqual([2, expect.stringContaining('no password was typed')]);
    });
  });

  it('a password is in no list of processes', async () => {
    const running = new Program(
      environment,
      ['admin:create', '--email', 'listed@example.com', '--password-stdin'],
      undefined,
      NEW_PASSWORD,
    );
    const list = spawn('ps', ['-eo', 'args']);
    let shown = '';
    list.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString()));
    await new Promise((resolve) => list.on('close', resolve));
    expect(shown).toContain('listed@example.com');
    expect(shown).not.toContain(NEW_PASSWORD);
    expect((await running.exit()).code).toBe(0);
  });
});

describe('without a server', () => {
  it('makes the database and the first administrator, whom a start then takes as the first', async () => {
    const fresh = temporaryDataDir();
    const nothing = { DATA_DIR: fresh.path, ADMIN_EMAIL: '', ADMIN_PASSWORD: '' };
    const made = await run(['admin:create', '--email', 'first@example.com'], undefined, nothing);
    expect(made.code).toBe(0);
    const server = new Program({ ...environment, ...nothing });
    const http = await server.http();
    expect(server.stdout).not.toMatch(/password/);
    await http
      .post('/api/v1/auth/login')
      .send({ email: 'first@example.com', password: passwordIn(made) })
      .expect(200);
    server.signal('SIGTERM');
    expect((await server.exit()).code).toBe(0);
    fresh.remove();
  });

  it('says what is wrong with the configuration', async () => {
    const { code, stderr } = await run(['admin:create', '--email', 'a@example.com'], undefined, { BCRYPT_COST: '99' });
    expect([code, stderr]).toEqual([1, 'gatehouse: BCRYPT_COST is "99"; it takes a whole number from 10 to 15\n']);
  });

  it.each([['start'], ['migrate'], ['admin:create', '--email', 'a@example.com']])(
    'says in one line that DATA_DIR cannot be used: %s',
    async (...args) => {
      const place = join(__filename, 'data');
      const { code, stderr } = await run(args, undefined, { DATA_DIR: place });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^gatehouse: DATA_DIR is "[^"]+"; it takes a folder .*ENOTDIR.*\n$/);
      expect(stderr).toContain(JSON.stringify(place));
    },
  );
});
