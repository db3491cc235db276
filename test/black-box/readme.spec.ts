import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createBucket, startS3Server } from '../support/s3-server.js';
import { Program, temporaryDataDir } from '../support/program.js';

const README = readFileSync(join(__dirname, '../../README.md'), 'utf8');

/** What differs from one run to the next. */
const masked = (text: string) =>
  text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID').replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME');

interface Step {
  command: string;
  output: string;
}

/** The steps of the block between `<!-- name -->` and its end. */
function session(name: string): Step[] {
  const [, text] = new RegExp(`<!-- ${name} -->\\s*\`\`\`console\\n([\\s\\S]*?)\`\`\``).exec(README) ?? [];
  if (!text) throw new Error(`the README has no session ${name}`);
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((step) => ({ command: step.split('\n')[0], output: step.split('\n').slice(1).join('\n').trim() }));
}

/** Runs them in one shell, because a session keeps variables and files; a line of its own ends each answer. */
async function outputsOf(steps: Step[], url: string): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-readme-'));
  const script = steps
    .map(({ command }) => `${command.replaceAll('http://localhost:8000', url)}; printf '\\n<end of step>\\n'`)
    .join('\n');
  try {
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd: directory });
    return stdout
      .split('<end of step>\n')
      .slice(0, -1)
      .map((output) => masked(output.trim()));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const printed = (steps: Step[]) => steps.map(({ output }) => masked(output));

async function withProgram(environment: Record<string, string>, work: (url: string) => Promise<void>): Promise<void> {
  const data = temporaryDataDir();
  const program = new Program({ PORT: '0', DATA_DIR: data.path, ...environment });
  try {
    const [, url] = await program.says(/listening on (http:\S+)/);
    await work(url);
  } finally {
    program.signal('SIGTERM');
    expect((await program.exit()).code).toBe(0);
    data.remove();
  }
}

it('the sessions in the README run as they are printed', async () => {
  await withProgram({}, async (url) => {
    const first = session('session');
    expect(first).toHaveLength(5);
    expect(await outputsOf(first, url)).toEqual(printed(first));
    const login = first[1];
    for (const [name, length] of [
      ['files', 8],
      ['resumable', 5],
    ] as const) {
      const steps = session(name);
      expect(steps).toHaveLength(length);
      expect((await outputsOf([login, ...steps], url)).slice(1)).toEqual(printed(steps));
    }
  });
});

it('with the variables that the README names for S3, the same sessions run on a bucket', async () => {
  const s3 = await startS3Server();
  if (!s3) return process.emitWarning('No S3 server can be started here (radosgw): the README is not tried on S3');
  try {
    const [, block] = /<!-- s3 -->\s*```sh\n([\s\S]*?)```/.exec(README) ?? [];
    const named = Object.fromEntries(
      [...block.matchAll(/([A-Z0-9_]+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    );
    await createBucket(s3, named.S3_BUCKET);
    const environment = {
      ...named,
      S3_ENDPOINT: s3.endpoint,
      S3_ACCESS_KEY_ID: s3.accessKeyId,
      S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
    };
    await withProgram(environment, async (url) => {
      const [signUp, login] = session('session');
      for (const name of ['files', 'resumable']) {
        const steps = session(name);
        expect((await outputsOf([signUp, login, ...steps], url)).slice(2)).toEqual(printed(steps));
      }
    });
    // Another database wants another bucket.
    await createBucket(s3, 'redirecting');
    await withProgram({ ...environment, S3_BUCKET: 'redirecting', S3_PRESIGNED_DOWNLOADS: 'true' }, async (url) => {
      const [signUp, login] = session('session');
      const [make, upload, find] = session('files');
      const download = (options: string) =>
        `curl -s ${options} http://localhost:8000/api/v1/uploads/$ID/download -H "Authorization: Bearer $TOKEN"`;
      const steps = [signUp, login, make, upload, find].map(({ command }) => command);
      const outputs = await outputsOf(
        [...steps, download(`-o /dev/null -w '%{http_code} %{redirect_url}'`), download('-L')].map((command) => ({
          command,
          output: '',
        })),
        url,
      );
      const [redirect, bytes] = outputs.slice(-2);
      expect(redirect).toMatch(new RegExp(`^302 ${s3.endpoint}/.*X-Amz-Signature=`));
      expect(bytes).toBe('Hello, files.');
      // The address of the store is all that is told of it.
      expect(redirect).not.toContain(s3.secretAccessKey);
    });
  } finally {
    await s3.stop();
  }
}, 90_000);
