import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installClient, packClient, ROOT } from './packages.js';
import { TestServer } from './support.js';

const README = readFileSync(join(ROOT, 'sdk/typescript/README.md'), 'utf8');
const END = '<end of block>';

/** The programs of the guide, each with what is printed below it. */
const blocks = [...README.matchAll(/```js\n([\s\S]*?)```\n(?:\n```text\n([\s\S]*?)```)?/g)].map(
  ([, code, printed = '']) => ({ code, printed: printed.trim() }),
);

describe('the guide', () => {
  let server: TestServer;
  let packed: ReturnType<typeof packClient>;
  let consumer: ReturnType<typeof installClient>;
  beforeAll(async () => {
    // As the guide starts it, on a port of its own.
    const [, variables] = /^(ADMIN_EMAIL=.*) npm start$/m.exec(README) ?? [];
    const environment = Object.fromEntries(variables.split(' ').map((pair) => pair.split('=')));
    server = await TestServer.start({ ...environment, RATE_LIMIT_ENABLED: 'true' });
    packed = packClient();
    const dependencies = ['socket.io-client', 'eventsource-parser', 'tus-js-client'];
    consumer = installClient(packed.tarball, [...dependencies, 'otpauth']);
  });
  afterAll(async () => {
    consumer?.remove();
    packed?.remove();
    await server.stop();
  });

  it('every block runs after the other and prints what stands below it', () => {
    const program = blocks.map(({ code }) => `${code}\nconsole.log('${END}');\n`).join('');
    const file = join(consumer.path, 'guide.mjs');
    writeFileSync(file, program.replaceAll('http://localhost:8000', server.url));
    const run = spawnSync(process.execPath, [file], { cwd: consumer.path, encoding: 'utf8', timeout: 120_000 });
    const printed = run.stdout.split(END).map((text) => text.trim());
    const stderr = run.stderr.replace(
      /^.*ExperimentalWarning: (openAsBlob|buffer\.File) .*\n(\(Use `node .*\n)?/gm,
      '',
    );
    expect({ status: run.status, stderr, printed }).toEqual({
      status: 0,
      stderr: '',
      printed: [...blocks.map((block) => block.printed), ''],
    });
  });

  it('names files and commands that there are', () => {
    const { scripts, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    for (const [, script] of README.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toHaveProperty([script]);
    expect(README).toContain(`gatehouse-client-${version}.tgz`);
    for (const [, path] of README.matchAll(/\]\(((?:\.\.?\/)[^)#]+)/g))
      expect(() => readFileSync(join(ROOT, 'sdk/typescript', path))).not.toThrow(/ENOENT/);
  });
});
