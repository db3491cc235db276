import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Dice, freePort, Line, MIB, storedFiles, until } from '../../../test/support/uploads.js';
import { installedClient } from './installed.js';
import { TestServer } from './support.js';

const EXAMPLES = join(__dirname, '../../../examples');

describe('examples/file-drop.mjs', () => {
  const { path: folder, remove } = installedClient();
  let server: TestServer;
  let key: string;
  const lines: Line[] = [];

  beforeAll(async () => {
    copyFileSync(join(EXAMPLES, 'file-drop.mjs'), join(folder, 'file-drop.mjs'));
    server = await TestServer.start({ MAX_FILE_SIZE: String(64 * MIB), PORT: String(await freePort()) });
    const scopes: ('uploads:read' | 'uploads:write')[] = ['uploads:read', 'uploads:write'];
    ({ key } = await (await server.user()).api.users.apiKeys.create({ name: 'drop', scopes }));
  });
  afterAll(async () => {
    for (const line of lines) await line.close();
    await server.stop();
    remove();
  });

  const start = (args: string[], environment: Record<string, string> = {}): ChildProcess =>
    spawn(process.execPath, ['--no-warnings', 'file-drop.mjs', ...args], {
      cwd: folder,
      env: { PATH: process.env.PATH ?? '', GATEHOUSE_URL: server.url, GATEHOUSE_API_KEY: key, ...environment },
    });

  const ended = async (child: ChildProcess) => {
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { code, stdout, stderr };
  };
  const run = (...args: string[]) => ended(start(args));

  it('puts a file, prints a link, lists, gets and removes', async () => {
    const text = 'Quarter of the year;Profit\n1;100\n';
    writeFileSync(join(folder, 'report.csv'), text);
    const put = await run('put', 'report.csv', '--description', 'For the board');
    expect(put).toEqual({ code: 0, stdout: expect.stringMatching(/^http\S+\/signed\?\S+\n$/), stderr: '' });
    const link = new URL(put.stdout.trim());
    const validFor = Number(link.searchParams.get('expires')) - Date.now() / 1000;
    expect([validFor > 86_000, validFor <= 86_400]).toEqual([true, true]);
    expect(await (await fetch(link)).text()).toBe(text);

    const listed = await run('list');
    expect(listed.stdout).toMatch(/^[0-9a-f-]{36} {2}\d{4}-\d\d-\d\d {12}33 {2}report\.csv\n$/);
    const id = listed.stdout.slice(0, 36);

    const twice = await run('get', id);
    expect([twice.code, twice.stderr]).toEqual([1, expect.stringContaining('EEXIST')]);
    expect(await run('get', id, '--output', 'copy.csv')).toEqual({ code: 0, stdout: 'copy.csv\n', stderr: '' });
    expect(readFileSync(join(folder, 'copy.csv'), 'utf8')).toBe(text);
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);

    expect(await run('rm', id)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(await run('rm', id)).toEqual({ code: 1, stdout: '', stderr: `${id}: file_not_found\n` });
    expect(await run('get', id)).toEqual({ code: 1, stdout: '', stderr: 'File not found\n' });
    expect((await run('list')).stdout).toBe('');
  });

  it('says in one line what is wrong', async () => {
    const usage = expect.stringMatching(/^usage: /);
    for (const args of [[], ['put'], ['list', 'much'], ['toString', 'x']])
      expect(await run(...args)).toEqual({ code: 1, stdout: '', stderr: usage });
    expect(await ended(start(['list'], { GATEHOUSE_API_KEY: '' }))).toMatchObject({
      code: 1,
      stderr: 'GATEHOUSE_API_KEY is not set\n',
    });
    expect((await run('put', 'nothing.pdf')).stderr.trim().split('\n')).toHaveLength(1);
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const elsewhere = await ended(start(['list'], { GATEHOUSE_URL: nobody }));
    expect(elsewhere).toMatchObject({ code: 1, stderr: `GET ${nobody}/api/v1/uploads: no answer (ECONNREFUSED)\n` });
  });

  it('leaves nothing behind when it is interrupted', async () => {
    writeFileSync(join(folder, 'large.txt'), new Dice(25).text(30 * MIB));
    const line = await Line.to(Number(new URL(server.url).port));
    lines.push(line);
    line.holdAfter(10 * MIB);
    const child = start(['put', 'large.txt'], { GATEHOUSE_URL: line.url });
    const over = ended(child);
    await until(() => storedFiles(server.dataDir).unfinished.length > 0, 'its beginning');
    child.kill('SIGINT');
    // New connections are whole.
    line.break();
    expect(await over).toEqual({ code: 1, stdout: '', stderr: 'Interrupted\n' });
    expect(storedFiles(server.dataDir)).toEqual({ published: [], unfinished: [] });
  });

  it('asks for the versions that this repository has', () => {
    const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
    const { dependencies } = read(join(EXAMPLES, 'package.json'));
    expect(existsSync(join(EXAMPLES, dependencies['@gatehouse/client'].replace('file:', ''), 'package.json'))).toBe(
      true,
    );
    const { peerDependencies } = read(join(__dirname, '../package.json'));
    expect(dependencies['tus-js-client']).toBe(peerDependencies['tus-js-client']);
  });
});
