import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './servers.mjs';

const PROGRAM = 'redis-server';
const READY_MS = 10_000;
const POLL_MS = 20;

export const hasRedis = () => spawnSync(PROGRAM, ['--version']).status === 0;

/** A Redis that keeps nothing; each of its 16 databases is an installation's. */
export async function startRedis(stage) {
  const port = await freePort();
  const directory = stage.temporaryDirectory();
  const args = ['--port', port, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'];
  const child = spawn(PROGRAM, args.map(String), { stdio: 'ignore', detached: true });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  stage.onClose(() => {
    child.kill();
    return exited;
  });
  for (const end = performance.now() + READY_MS; !(await answers(port)); await delay(POLL_MS))
    if (performance.now() > end || child.exitCode !== null) throw new Error(`${PROGRAM} is not ready`);
  return { pid: child.pid, url: (database) => `redis://127.0.0.1:${port}/${database}` };
}

async function answers(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [answer] = await once(socket, 'data');
    return String(answer).startsWith('+PONG');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
