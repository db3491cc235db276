import { spawn } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian keeps it from the PATH. */
const DEBIAN = '/usr/lib/postgresql';

/** `pgbench`, or `null` where there is none. */
export function findPgbench() {
  const debian = existsSync(DEBIAN) ? readdirSync(DEBIAN).map((version) => join(DEBIAN, version, 'bin')) : [];
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...debian];
  return folders.map((folder) => join(folder, 'pgbench')).find((file) => existsSync(file)) ?? null;
}

/** Runs one statement for so many seconds on `clients` connections, prepared; `:n` counts on for each client. */
export async function pgbench(stage, { program, connection, statement, clients, seconds }) {
  const script = join(stage.temporaryDirectory(), 'script.sql');
  writeFileSync(script, `\\set n :n + 1\n${statement};\n`);
  const { host, port, user, password, database } = connection;
  const args = ['-n', '-M', 'prepared', '-c', clients, '-j', 2, '-T', seconds, '-D', 'n=0', '-f', script];
  const server = ['-h', host, '-p', port, '-U', user, database];
  const output = await outputOf(stage, program, [...args, ...server].map(String), { PGPASSWORD: password });
  const read = (pattern) => Number(pattern.exec(output)?.[1]);
  return {
    perSecond: read(/^tps = ([\d.]+)/m),
    meanMs: read(/^latency average = ([\d.]+) ms/m),
    transactions: read(/^number of transactions actually processed: (\d+)/m),
  };
}

function outputOf(stage, program, args, environment) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { PATH: process.env.PATH, ...environment } });
    stage.onClose(() => child.kill());
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve(output) : reject(new Error(`${program}: ${output}`))));
  });
}
