import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '../..');
const PRODUCT = join(ROOT, 'dist/src/cli.js');
const BASELINE = join(ROOT, 'bench/baselines/bare-fastify.mjs');
const PASSPORT = join(ROOT, 'bench/baselines/with-passport.mjs');
const PLAIN_UPLOAD = join(ROOT, 'bench/baselines/plain-upload.mjs');
const FASTIFY_UPLOAD = join(ROOT, 'bench/baselines/fastify-upload.mjs');
const PLAIN_DOWNLOAD = join(ROOT, 'bench/baselines/plain-download.mjs');
const BARE_SOCKET_IO = join(ROOT, 'bench/baselines/bare-socket-io.mjs');
const READY_MS = 60_000;
const POLL_MS = 5;
const UNLIMITED = '100000000/60';
const PETABYTE = '1000000000000000';

/** Both sides check tokens with it. */
export const JWT_SECRET = 'a secret of the benchmark: 3f1c9b7e5d2a8046';
export const ADMIN = { email: 'admin@example.com', password: 'Bench-Admin-Passw0rd' };

/** Rate limits count as always and are never reached. */
const NEVER_LIMITED = Object.fromEntries(
  ['CREDENTIALS', 'ANONYMOUS', 'USER', 'USER_HOURLY', 'UPLOADS', 'ADMIN'].map((group) => [
    `RATE_LIMIT_${group}`,
    UNLIMITED,
  ]),
);

/** So do quotas; and a token outlives the longest case. */
const NEVER_FULL = {
  MAX_FILE_SIZE: PETABYTE,
  USER_QUOTA: PETABYTE,
  STORAGE_QUOTA: PETABYTE,
  ALLOWED_FILE_TYPES: '*',
  JWT_ACCESS_TTL: '86400',
};

/** For profiles: BENCH_NODE_ARGS='--cpu-prof --cpu-prof-dir=/tmp/profile'. */
const NODE_ARGUMENTS = (process.env.BENCH_NODE_ARGS ?? '').split(' ').filter(Boolean);

/** `npm start` without npm, configured by nothing but `environment`. */
export function startProduct(stage, environment = {}, nodeArguments = []) {
  return startNode(stage, [...nodeArguments, PRODUCT, 'start'], '/api/v1/health', {
    ...NEVER_LIMITED,
    ...NEVER_FULL,
    JWT_SECRET,
    ADMIN_EMAIL: ADMIN.email,
    ADMIN_PASSWORD: ADMIN.password,
    ...environment,
  });
}

/** The product, with a route that Passport guards. */
export function startWithPassport(stage, environment) {
  return startNode(stage, [PASSPORT], '/health', { ...NEVER_LIMITED, JWT_SECRET, ...environment });
}

/** Fastify, pg, a JWT and a password hash, and nothing else. */
export function startBaseline(stage, databaseUrl) {
  return startNode(stage, [BASELINE], '/health', {
    DATABASE_URL: databaseUrl,
    JWT_SECRET,
    BENCH_MODULES: process.env.BENCH_MODULES ?? '',
  });
}

/** One pipeline, sha256 on the main thread, and the product's fsync. */
export const startPlainUpload = (stage) => startNode(stage, [PLAIN_UPLOAD], '/health');

/** A streaming parser and a file: neither hash nor fsync. */
export const startFastifyUpload = (stage) => startNode(stage, [FASTIFY_UPLOAD], '/health');

/** Serves the files of a folder by `createReadStream`. */
export const startPlainDownload = (stage, folder) => startNode(stage, [PLAIN_DOWNLOAD], '/health', { FOLDER: folder });

/** Rooms, and nothing else. */
export const startBareSocketIo = (stage, nodeArguments = []) =>
  startNode(stage, [...nodeArguments, BARE_SOCKET_IO], '/health');

const startNode = (stage, args, readyPath, environment) =>
  startServer(stage, () => [process.execPath, ...NODE_ARGUMENTS, ...args], readyPath, environment);

/**
 * Starts what `commandOf` answers with for a folder of its own and a free port, unless the environment names one. Resolves with the first
 * 200 of `readyPath`; the server is stopped with the stage, or before by `stop()` or `kill()`.
 */
export async function startServer(stage, commandOf, readyPath, environment = {}) {
  const directory = stage.temporaryDirectory();
  const port = environment.PORT ?? (await freePort());
  const outputFile = join(directory, 'output.log');
  const output = openSync(outputFile, 'w');
  const startedAt = performance.now();
  const [command, ...args] = commandOf({ directory, port });
  const child = spawn(command, args, {
    // Away from any .env, and from a terminal's Ctrl-C: it is ours to end.
    cwd: directory,
    detached: true,
    stdio: ['ignore', output, output],
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: port, DATA_DIR: join(directory, 'data'), ...environment },
  });
  closeSync(output);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const end = async (signal) => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
  };
  const stop = () => end('SIGTERM');
  const kill = () => end('SIGKILL');
  stage.onClose(stop);
  const url = `http://127.0.0.1:${port}`;
  while ((await statusOf(url + readyPath)) !== 200) {
    const isGone = child.exitCode !== null || child.signalCode !== null;
    if (isGone || performance.now() - startedAt > READY_MS)
      throw new Error(
        `${args.join(' ')} ${isGone ? 'has ended' : 'is not ready'}:\n${readFileSync(outputFile, 'utf8')}`,
      );
    await delay(POLL_MS);
  }
  return { pid: child.pid, url, startMs: performance.now() - startedAt, stop, kill };
}

async function statusOf(url) {
  try {
    const response = await fetch(url);
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
