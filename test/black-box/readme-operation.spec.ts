import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { block, masked, outputsOf, printed, session, type Step } from '../support/readme.js';
import { CLI, Program, temporaryDataDir } from '../support/program.js';

const TOTP_CODE = join(__dirname, '../support/totp-code.mjs');

const withoutPasswords = (text: string) => masked(text).replace(/(password {2})\w{20}$/gm, '$1PASSWORD');

/** Commands as the README has them, for the program that was built here and a folder that is no checkout. */
const runnable = (command: string) =>
  command
    .replaceAll('npm run -s gatehouse --', `${process.execPath} ${CLI}`)
    .replace(/^CODE=.*/, `CODE=$(${process.execPath} ${TOTP_CODE} "$SETUP")`);

describe('the section on operation in the README, followed as it is printed', () => {
  const home = temporaryDataDir();
  let program: Program;
  let url: string;

  const start = async () => {
    program = new Program({ PORT: '0', RATE_LIMIT_CREDENTIALS: '100/60' }, ['start'], home.path);
    [, url] = await program.says(/listening on (http:\S+)/);
  };
  const stop = async () => {
    program.signal('SIGTERM');
    expect((await program.exit()).code).toBe(0);
  };
  const run = async (steps: Step[]) =>
    (
      await outputsOf(
        steps.map(({ command }) => ({ command: runnable(command), output: '' })),
        url,
        {},
        home.path,
      )
    ).map(withoutPasswords);
  const shell = (script: string) =>
    execFileSync('bash', ['-ec', runnable(script)], { cwd: home.path, encoding: 'utf8', stdio: 'pipe' });
  const login = (username: string, password: string) =>
    fetch(`${url}/api/v1/auth/login`, { method: 'POST', body: new URLSearchParams({ username, password }) });

  beforeAll(start);
  afterAll(async () => {
    await program.kill();
    home.remove();
  });

  it('makes an administrator and gives one a new password, beside the running server', async () => {
    const passwords: string[] = [];
    for (const name of ['admin-create', 'admin-reset']) {
      const [step] = session(name);
      const output = shell(step.command);
      expect(withoutPasswords(output.trim())).toBe(withoutPasswords(step.output));
      passwords.push(/password {2}(\w{20})/.exec(output)?.[1] ?? '');
      expect((await login('ops@example.com', passwords.at(-1) as string)).status).toBe(200);
    }
    expect((await login('ops@example.com', passwords[0])).status).toBe(401);
  });

  it('writes mails into the outbox', async () => {
    const [signUp] = session('session');
    expect(await run([signUp])).toEqual(printed([signUp]));
    const outbox = () => readdirSync(join(home.path, 'data/outbox'));
    while (!outbox().some((name) => name.includes('verify'))) await new Promise((resolve) => setTimeout(resolve, 50));
  });

  it('makes, uses and revokes an API key', async () => {
    const [, signIn] = session('session');
    const steps = session('keys');
    expect(steps).toHaveLength(5);
    expect((await run([signIn, ...steps])).slice(1)).toEqual(printed(steps));
  });

  it('sets up a second factor', async () => {
    const [, signIn] = session('session');
    const steps = session('mfa');
    expect(steps).toHaveLength(5);
    expect((await run([signIn, ...steps])).slice(1)).toEqual(printed(steps));
    expect(await (await login('ann', 'SecurePass123!')).json()).toMatchObject({ mfa_required: true });
  });

  it('is backed up, and comes back as it was', async () => {
    await stop();
    shell(block('backup', 'sh'));
    await start();
    const admin = session('admin-create')[0].command.replace('ops@', 'later@');
    shell(admin);
    await stop();
    expect(shell(block('restore', 'sh'))).toMatch(/agree|0 /);
    await start();
    expect(await (await login('ann', 'SecurePass123!')).json()).toMatchObject({ mfa_required: true });
    // Made after the backup.
    expect(shell(admin)).toContain('later@example.com');
  });

  it('is looked at by the doctor', () => {
    expect(shell('npm run -s gatehouse -- doctor')).toContain('database');
  });
});
