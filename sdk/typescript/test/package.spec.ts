import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installClient, packClient, ROOT } from './packages.js';
import { TestServer } from './support.js';

const TYPESCRIPT = join(ROOT, 'node_modules/typescript/bin/tsc');
const WITHOUT_PYTHON = /^The Python client is not packed: /;

/** The example of the README's first lines, with a key. */
const EXAMPLE = `
import { Gatehouse } from '@gatehouse/client';

const api = new Gatehouse({ baseURL: process.env.GATEHOUSE_URL, apiKey: process.env.GATEHOUSE_API_KEY });
const file = new File(['Hello'], 'hello.txt', { type: 'text/plain' });
const result = await api.uploads.create(file, { description: 'Test file' });
const download = await api.uploads.download(result.id);
console.log(result.description, await download.text());
`;

/** What programs in TypeScript write. */
const CONSUMER = `
import { Gatehouse, GatehouseError, type StoredFile, type Tokens, type TokenStorage, type User } from '@gatehouse/client';

class Kept implements TokenStorage {
  private tokens: Tokens | null = null;
  get = async () => this.tokens;
  set = async (tokens: Tokens | null) => {
    this.tokens = tokens;
  };
}
const api = new Gatehouse({ baseURL: 'http://localhost:8000', tokens: new Kept(), fetch });

export async function run(): Promise<User | null> {
  try {
    const file: StoredFile = await api.uploads.create(new Blob(['x']), { filename: 'x.txt' });
    for await (const { id } of api.uploads.iterate({ sort_by: 'file_size' })) console.log(id === file.id);
    await api.broadcasting.publish({ channel: 'news', event: 'said', data: { text: 'Hello' } });
    const past = await api.broadcasting.history<{ text: string }>('news');
    console.log(past.items[0]?.data.text.length);
    const live = api.broadcasting.connect();
    live.subscribe<{ text: string }>('news').on('message', ({ data }) => console.log(data.text.length));
    async function* pieces() {
      yield new Uint8Array(2);
    }
    await api.uploads.create(pieces(), { size: 2, description: null });
    const { items } = await api.admin.users.list({ role: 'admin', size: 5 }, { timeout: 1000 });
    const bytes: number | undefined = items[0]?.stats.total_storage_used;
    console.log(bytes?.toFixed());
    // @ts-expect-error a misspelt field
    await api.users.updateMe({ firstname: 'x' });
    // @ts-expect-error there is no such order
    await api.uploads.list({ sort_by: 'colour' });
    return await api.users.me();
  } catch (error) {
    if (error instanceof GatehouseError) console.log(error.code, error.fieldErrors.email?.[0], error.retryAfter);
    return null;
  }
}
`;

describe('the package', () => {
  let packed: ReturnType<typeof packClient>;
  let consumer: ReturnType<typeof installClient>;
  let installed: string;
  beforeAll(() => {
    packed = packClient();
    consumer = installClient(packed.tarball);
    installed = join(consumer.path, 'node_modules/@gatehouse/client');
  });
  afterAll(() => {
    consumer?.remove();
    packed?.remove();
  });

  const filesOf = (directory: string) =>
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));

  it('holds what was compiled, the guide and the licence, and nothing else', () => {
    expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json']);
    const names = filesOf(join(installed, 'dist'));
    expect(names.filter((name) => !/\.(js|js\.map|d\.ts)$/.test(name))).toEqual([]);
    const modules = filesOf(join(ROOT, 'sdk/typescript/src')).map((name) => name.replace(/^.*\/src\/|\.ts$/g, ''));
    const compiled = names.filter((name) => name.endsWith('.js')).map((name) => name.replace(/^.*\/dist\/|\.js$/g, ''));
    expect(compiled.sort()).toEqual(modules.sort());
  });

  it('imports what it declares and nothing of Node.js', () => {
    const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    const declared = new Set([...Object.keys(dependencies), ...Object.keys(peerDependencies)]);
    const used = new Set<string>();
    for (const file of filesOf(join(installed, 'dist')).filter((name) => name.endsWith('.js'))) {
      const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
      for (const [, name] of code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g))
        if (!name.startsWith('.')) used.add(name);
      // They are loaded when they are needed, so that a page that needs none of them has no import map for them.
      expect([file, /(?:\bfrom|^import)\s*['"][^.'"][^'"]*['"]/m.exec(code)?.[0]]).toEqual([file, undefined]);
      expect([file, /\b(require|process|Buffer|__dirname|setImmediate)\b\s*[(.]/.exec(code)?.[0]]).toEqual([
        file,
        undefined,
      ]);
    }
    expect([...used].sort()).toEqual([...declared].sort());
  });

  it('runs where npm has installed it', async () => {
    const server = await TestServer.start();
    try {
      const { api } = await server.user();
      const { key } = await api.users.apiKeys.create({ name: 'example' });
      writeFileSync(join(consumer.path, 'example.js'), EXAMPLE);
      const env = { PATH: process.env.PATH, GATEHOUSE_URL: server.url, GATEHOUSE_API_KEY: key };
      const { status, stdout, stderr } = spawnSync(process.execPath, ['example.js'], {
        cwd: consumer.path,
        env,
        encoding: 'utf8',
        timeout: 60_000,
      });
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'Test file Hello\n', stderr: '' });
    } finally {
      await server.stop();
    }
  });

  it.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('its types hold for strict programs (%s, %s)', (module, moduleResolution) => {
    writeFileSync(join(consumer.path, 'consumer.ts'), CONSUMER);
    const compilerOptions = { module, moduleResolution, target: 'es2022', lib: ['es2023', 'dom', 'dom.iterable'] };
    const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true };
    const all = { ...compilerOptions, ...strict, skipLibCheck: false, noEmit: true, types: [] };
    const config = { compilerOptions: all, files: ['consumer.ts'] };
    writeFileSync(join(consumer.path, 'tsconfig.json'), JSON.stringify(config));
    const { status, stdout } = spawnSync(process.execPath, [TYPESCRIPT, '-p', consumer.path], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  it('its types hold in Node.js without those of browsers', () => {
    const lines = [
      `import { Gatehouse } from '@gatehouse/client';`,
      `export const api = new Gatehouse({ baseURL: '', fetch });`,
    ];
    writeFileSync(join(consumer.path, 'consumer.ts'), lines.join('\n'));
    const types = { types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')] };
    const modules = { module: 'nodenext', target: 'es2022', lib: ['es2023'], ...types };
    const compilerOptions = { ...modules, strict: true, skipLibCheck: false, noEmit: true };
    writeFileSync(join(consumer.path, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
    const { status, stdout } = spawnSync(process.execPath, [TYPESCRIPT, '-p', consumer.path], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });

  it('npm run sdk:pack packs both clients, or says that Python’s tools are missing', () => {
    const target = mkdtempSync(join(tmpdir(), 'gatehouse-dist-'));
    try {
      const script = join(ROOT, 'scripts/sdk-pack.mjs');
      const run = spawnSync(process.execPath, [script, target], { encoding: 'utf8' });
      expect({ status: run.status, stderr: run.stderr.replace(WITHOUT_PYTHON, '') }).toMatchObject({ status: 0 });
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
      const wheel = WITHOUT_PYTHON.test(run.stderr) ? [] : [`gatehouse_client-${version}-py3-none-any.whl`];
      expect(readdirSync(target).sort()).toEqual([`gatehouse-client-${version}.tgz`, ...wheel]);
      expect(run.stdout.trim().split('\n')).toHaveLength(1 + wheel.length);
    } finally {
      rmSync(target, { recursive: true });
    }
  });

  it('every public class and method is documented (npm run sdk:docs)', () => {
    const typedoc = join(ROOT, 'node_modules/typedoc/bin/typedoc');
    const args = ['--options', join(ROOT, 'sdk/typescript/typedoc.json'), '--emit', 'none'];
    expect(() => execFileSync(process.execPath, [typedoc, ...args], { cwd: ROOT, stdio: 'pipe' })).not.toThrow();
  });
});
