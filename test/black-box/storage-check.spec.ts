import { existsSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { Program, temporaryDataDir } from '../support/program.js';
import { publishedPath } from '../support/uploads.js';

const ADMIN = { email: 'admin@example.com', password: 'Check-The-Storage-1' };
const STRAY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

describe('storage:check', () => {
  const data = temporaryDataDir();
  const environment = {
    PORT: '0',
    DATA_DIR: data.path,
    BCRYPT_COST: '10',
    ADMIN_EMAIL: ADMIN.email,
    ADMIN_PASSWORD: ADMIN.password,
  };
  let program: Program;
  let kept: string;
  let lost: string;

  beforeAll(async () => {
    program = new Program(environment);
    const http = await program.http();
    const { body } = await http.post('/api/v1/auth/login').send(ADMIN).expect(200);
    const upload = async (name: string): Promise<string> => {
      const form = http.post('/api/v1/uploads').set('Authorization', `Bearer ${body.access_token}`);
      return (await form.attach('file', Buffer.from(name), name).expect(201)).body.id;
    };
    kept = await upload('kept.txt');
    lost = await upload('lost.txt');
  });
  afterAll(async () => {
    program.signal('SIGTERM');
    expect((await program.exit()).code).toBe(0);
    data.remove();
  });

  /** Beside the running server, on its embedded database. */
  async function check(...options: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const run = new Program(environment, ['storage:check', ...options]);
    const { code } = await run.exit();
    return { code, stdout: run.stdout, stderr: run.stderr };
  }

  it('finds nothing when storage and database agree', async () => {
    const { code, stdout, stderr } = await check();
    expect(stdout).toContain('Storage and database agree.');
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  it('tells what does not agree, changes nothing, and exits with 1', async () => {
    writeFileSync(publishedPath(data.path, STRAY), 'nobody');
    const hourAgo = new Date(Date.now() - 3_600_000);
    utimesSync(publishedPath(data.path, STRAY), hourAgo, hourAgo);
    rmSync(publishedPath(data.path, lost));
    const { code, stdout } = await check();
    expect(stdout).toMatch(/^ +1 {2}bytes that no file owns$/m);
    expect(stdout).toMatch(/^ +1 {2}files without bytes$/m);
    expect(stdout).toContain(`${STRAY}: 6 bytes of`);
    expect(stdout).toContain(`${lost} of user`);
    expect(code).toBe(1);
    expect(existsSync(publishedPath(data.path, STRAY))).toBe(true);
  });

  it('with --repair removes what is left over, and nothing else', async () => {
    const repair = await check('--repair');
    expect(repair.stdout).toContain('Left-overs were removed');
    expect(repair.stdout).not.toContain('"level"');
    // The log is beside the result: whose file was lost.
    expect(JSON.parse(repair.stderr)).toMatchObject({ level: 'error', msg: expect.stringContaining(lost) });
    expect(existsSync(publishedPath(data.path, STRAY))).toBe(false);
    expect(existsSync(publishedPath(data.path, kept))).toBe(true);
    const { code, stdout } = await check();
    expect(stdout).toContain('Storage and database agree.');
    expect(code).toBe(0);
  });
});
