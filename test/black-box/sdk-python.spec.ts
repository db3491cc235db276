import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLI, Program, temporaryDataDir } from '../support/program.js';

const SDK = join(__dirname, '../../sdk/python');
/** Debian's, which knows Debian's packages. */
const PYTHON = '/usr/bin/python3';
const has = (modules: string) => spawnSync(PYTHON, ['-c', `import ${modules}`]).status === 0;
const canTest = has('httpx, pytest');
const canBuild = has('httpx, build, setuptools, wheel, venv, ensurepip');
if (!canTest) process.stderr.write(`The Python client is not tested: ${PYTHON} lacks httpx or pytest\n`);
if (!canBuild)
  process.stderr.write(
    `The Python client is not packed: ${PYTHON} lacks one of httpx, build, setuptools, wheel, venv, ensurepip\n`,
  );

const ADMIN = { ADMIN_EMAIL: 'admin@example.com', ADMIN_PASSWORD: 'Correct-Horse-1' };

/** The example of the documents, with what is installed and nothing else. */
const PROGRAM = `
import sys
import gatehouse_client
from gatehouse_client import GatehouseClient

url, password, installed = sys.argv[1:]
assert gatehouse_client.__file__.startswith(installed), gatehouse_client.__file__

with GatehouseClient(base_url=url) as admin:
    admin.auth.login(email='admin@example.com', password=password)
    key = admin.users.api_keys.create(name='example').key

with open('document.txt', 'w') as f:
    f.write('Important words')

client = GatehouseClient(base_url=url, api_key=key)
with open('document.txt', 'rb') as f:
    result = client.uploads.create(file=f, description='Important document')
print(result.filename, result.description, client.uploads.download(result.id).read())
`;

const folders: string[] = [];
const emptyFolder = () => {
  folders.push(mkdtempSync(join(tmpdir(), 'gatehouse-sdk-')));
  return folders[folders.length - 1];
};

/** The exit code and all that was said, without holding up the other processes of the test. */
function run(command: string, args: string[], cwd: string, environment: Record<string, string> = {}) {
  const child = spawn(command, args, {
    cwd,
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '/',
      PYTHONDONTWRITEBYTECODE: '1',
      PIP_DISABLE_PIP_VERSION_CHECK: '1',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise<{ code: number | null; said: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, said })),
  );
}

async function succeed(command: string, args: string[], cwd: string): Promise<string> {
  const { code, said } = await run(command, args, cwd);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${code}\n${said}`);
  return said;
}

describe('the Python client', () => {
  afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

  (canTest ? it : it.skip)(
    'passes its own tests against this build',
    async () => {
      // Most of them wait for something, as for the end of a token: together they take less than half of the time.
      const parallel = has('xdist') ? ['-n', '4'] : [];
      const { code, said } = await run(
        PYTHON,
        ['-m', 'pytest', '-q', ...parallel, 'sdk/python/tests'],
        join(SDK, '../..'),
        {
          PYTHONPATH: 'sdk/python/src',
          GATEHOUSE_CLI: CLI,
        },
      );
      if (code !== 0) throw new Error(said);
      expect(said).toMatch(/\d+ passed/);
    },
    15 * 60_000,
  );

  (canBuild ? it : it.skip)('is a wheel that works where nothing else of the repository is', async () => {
    // Building leaves traces beside the sources: a copy takes them.
    const sources = join(emptyFolder(), 'python');
    cpSync(SDK, sources, { recursive: true, filter: (path) => !/\/(build|dist|venv|[^/]*\.egg-info)$/.test(path) });
    const place = emptyFolder();
    await succeed(PYTHON, ['-m', 'build', '--wheel', '--no-isolation', '--outdir', place, sources], place);
    const [wheel, ...others] = readdirSync(place);
    expect(others).toEqual([]);
    expect(wheel).toBe('gatehouse_client-0.1.0-py3-none-any.whl');
    const content = await succeed(PYTHON, ['-m', 'zipfile', '-l', wheel], place);
    for (const file of ['py.typed', 'models.py', '_async/client.py', '_sync/client.py'])
      expect(content).toContain(`gatehouse_client/${file} `);
    expect(content).toContain('LICENSE');
    expect(content).not.toContain('tests/');

    await succeed(PYTHON, ['-m', 'venv', '--system-site-packages', 'venv'], place);
    const python = join(place, 'venv/bin/python');
    await succeed(python, ['-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps', wheel], place);
    const data = temporaryDataDir();
    const server = new Program({ PORT: '0', HOST: '127.0.0.1', DATA_DIR: data.path, BCRYPT_COST: '10', ...ADMIN });
    try {
      const [, url] = await server.says(/listening on (http:\S+)/);
      writeFileSync(join(place, 'program.py'), PROGRAM);
      const said = await succeed(python, ['program.py', url, ADMIN.ADMIN_PASSWORD, join(place, 'venv')], place);
      expect(said).toBe("document.txt Important document b'Important words'\n");
    } finally {
      server.signal('SIGTERM');
      await server.exit();
      data.remove();
    }
    expect(existsSync(join(SDK, 'build'))).toBe(false);
  });
});
