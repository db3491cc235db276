import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { block, masked, outputsOf, printed, README, session } from '../support/readme.js';
import { createBucket, startS3Server } from '../support/s3-server.js';
import { Program, temporaryDataDir } from '../support/program.js';

/** The client in the README, as a process of its own, beside the library that it wants installed. */
function startClient(url: string, token: string) {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-readme-'));
  symlinkSync(join(__dirname, '../../node_modules'), join(directory, 'node_modules'));
  writeFileSync(join(directory, 'news.mjs'), block('client', 'js').replace('http://localhost:8000', url));
  const child = spawn(process.execPath, ['news.mjs'], { cwd: directory, env: { ...process.env, TOKEN: token } });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  return {
    output,
    signal: (signal: NodeJS.Signals) => child.kill(signal),
    stop: async () => {
      const closed = new Promise((resolve) => child.on('close', resolve));
      child.kill('SIGKILL');
      await closed;
      rmSync(directory, { recursive: true });
    },
  };
}

/** Resolves when it holds; what has taken so long never will. */
async function until(condition: () => boolean | Promise<boolean>, describe: () => string): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain: ${describe()}`);
    await delay(50);
  }
}

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

it('the client in the README misses no message, whatever becomes of the server', async () => {
  const data = temporaryDataDir();
  const variables = { ADMIN_EMAIL: 'admin@example.com', ADMIN_PASSWORD: 'Correct-Horse-1' };
  const [login, publish] = session('publish');
  let program = new Program({ PORT: '0', DATA_DIR: data.path, ...variables });
  const [, url] = await program.says(/listening on (http:\S+)/);
  const [token] = await outputsOf([{ ...login, command: `${login.command}; echo "$TOKEN"` }], url, variables);
  const client = startClient(url, token);
  const restart = async (signal: NodeJS.Signals) => {
    program.signal(signal);
    await program.exit();
    program = new Program({ PORT: new URL(url).port, DATA_DIR: data.path, ...variables });
    await program.says(/listening on/);
  };
  const say = async (text: string) => {
    const command = publish.command.replace('Hello', text);
    return (await outputsOf([{ command, output: '' }], url, { TOKEN: token }))[0];
  };
  const headers = { Authorization: `Bearer ${token}` };
  const isSubscribed = async () => {
    const answer = await fetch(`${url}/api/v1/broadcasting/channels/news`, { headers });
    return ((await answer.json()) as { subscribers: number }).subscribers === 1;
  };
  const says = (line: string) =>
    until(
      () => client.output.stdout.endsWith(`${line}\n`),
      () => `${line}\n${JSON.stringify(client.output)}`,
    );
  try {
    await until(isSubscribed, () => JSON.stringify(client.output));
    expect(await say('Hello')).toBe(masked(publish.output));
    const lines = ["1 greeting { text: 'Hello' }"];
    // The README says what the client prints.
    expect(README).toContain(`\`${lines[0]}\``);
    await says(lines[0]);
    for (const [signal, away, back] of [
      ['SIGTERM', 'one', 'two'],
      ['SIGKILL', 'three', 'four'],
    ] as const) {
      // It is stopped meanwhile, so that it is certainly not connected when the message is published.
      client.signal('SIGSTOP');
      await restart(signal);
      await say(away);
      client.signal('SIGCONT');
      for (const text of [away, back]) {
        if (text === back) await say(back);
        lines.push(`${lines.length + 1} greeting { text: '${text}' }`);
        await says(lines.at(-1) as string);
      }
    }
    expect(client.output).toEqual({ stdout: `${lines.join('\n')}\n`, stderr: '' });
  } finally {
    await client.stop();
    program.signal('SIGTERM');
    await program.exit();
    data.remove();
  }
});

it('with the variables that the README names for S3, the same sessions run on a bucket', async () => {
  const s3 = await startS3Server();
  if (!s3) return process.emitWarning('No S3 server can be started here (radosgw): the README is not tried on S3');
  try {
    const named = Object.fromEntries(
      [...block('s3', 'sh').matchAll(/([A-Z0-9_]+)=(\S+)/g)].map(([, name, value]) => [name, value]),
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
});
