import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, type ClusterNode, type ClusterUser } from './broadcast-cluster.js';
import { HANG_MS, json, login, newAddress, send } from './outage-load.js';
import { Wire } from './outage-wire.js';
import { hasRedisServer, RedisServer } from './redis-server.js';

/** Set for the numbers of `docs/reliability.md`, on a machine that does nothing else. */
const isMeasured = process.env.OUTAGE_SECONDS !== undefined;
/** How long a part is away. */
export const OUTAGE_MS = Number(process.env.OUTAGE_SECONDS ?? 5) * 1000;
/** For what nothing is promised about. */
export const WITHIN_MS = 60_000;
/** The promise is five seconds; in a run of all tests other tests take the processor. */
export const HEALTHY_WITHIN_MS = isMeasured ? 5_000 : WITHIN_MS;
/** Nobody waits longer for an answer, whatever is away. */
export const ANSWERED_WITHIN_MS = isMeasured ? 30_000 : HANG_MS;
/** Of one test. */
export const TEST_MS = OUTAGE_MS + 300_000;
/** Once in so long the log may say that something is still away. */
const WARN_EVERY_MS = 60_000;

const SETTINGS = {
  RATE_LIMIT_ENABLED: 'true',
  TRUST_PROXY: '1',
  RATE_LIMIT_CREDENTIALS: '5/900',
  RATE_LIMIT_ANONYMOUS: '1000000/900',
  RATE_LIMIT_USER: '10000000/60',
  RATE_LIMIT_USER_HOURLY: '100000000/3600',
  RATE_LIMIT_ADMIN: '10000000/60',
  RATE_LIMIT_UPLOADS: '10000000/60',
};

/** Two nodes on one PostgreSQL and one Redis, with limits. */
export class Installation {
  private constructor(
    readonly cluster: Cluster,
    readonly redis: RedisServer,
    /** Between the nodes and Redis. */
    readonly wire: Wire,
  ) {}

  static async start(settings: Record<string, string> = {}): Promise<Installation> {
    if (!hasRedisServer()) throw new Error('install the package redis-server');
    const redis = await RedisServer.create();
    const wire = await Wire.to(Number(new URL(redis.url).port));
    try {
      await redis.start();
      const REDIS_URL = `redis://127.0.0.1:${wire.port}`;
      return new Installation(await Cluster.start({ ...SETTINGS, REDIS_URL, ...settings }), redis, wire);
    } catch (error) {
      await Promise.all([wire.close(), redis.remove()]);
      throw error;
    }
  }

  get nodes(): [ClusterNode, ClusterNode] {
    return this.cluster.nodes as [ClusterNode, ClusterNode];
  }

  /** Somebody who is signed in. Everybody comes from an address of their own. */
  async aUser(username: string): Promise<ClusterUser & { email: string }> {
    const [node] = this.nodes;
    const email = `${username}@example.com`;
    const body = { username, email, password: 'SecurePass123!' };
    const { status } = await send(node, 'register', { path: '/auth/register', ...json(body), address: newAddress() });
    if (status !== 201) throw new Error(`sign-up of ${username}: ${status}`);
    const { body: tokens } = await login(node, email);
    return { id: tokens.user.id, token: tokens.access_token, email };
  }

  async end(): Promise<void> {
    await this.cluster.end();
    await Promise.all([this.wire.close(), this.redis.remove()]);
  }

  /** SIGSTOP of the server and all of its sessions: connections stay, and are made, and nothing is answered. */
  freezeDatabase(): void {
    const server = this.cluster.database.pid;
    process.kill(server, 'SIGSTOP');
    for (const pid of childrenOf(server)) process.kill(pid, 'SIGSTOP');
  }

  thawDatabase(): void {
    const server = this.cluster.database.pid;
    for (const pid of childrenOf(server)) process.kill(pid, 'SIGCONT');
    process.kill(server, 'SIGCONT');
  }
}

/** How a part fails, and comes back. */
export interface Failure {
  readonly title: string;
  begin(): unknown;
  end(): unknown;
}

/** Gives the moments (`performance.now()`) at which it began and ended. */
export async function during(failure: Failure, ms = OUTAGE_MS): Promise<{ from: number; to: number }> {
  await failure.begin();
  const from = performance.now();
  try {
    await delay(ms);
  } finally {
    await failure.end();
  }
  return { from, to: performance.now() };
}

/** Milliseconds from a moment until something holds, asked again and again. */
export async function healthyAfter(
  since: number,
  what: string,
  isSo: () => boolean | Promise<boolean>,
): Promise<number> {
  const deadline = performance.now() + WITHIN_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`never again: ${what}`);
    await delay(20);
  }
  return Math.round(performance.now() - since);
}

/** The warnings of a node that match. */
export const warnings = ({ log }: ClusterNode, pattern: RegExp): string[] =>
  log.split('\n').filter((line) => /"level":(40|50|"warn"|"error")/.test(line) && pattern.test(line));
/** As many as there may be by now: one a minute. */
export const warningsMax = (since: number): number => 1 + Math.floor((performance.now() - since) / WARN_EVERY_MS);

/** The memory of a process in MB. */
export function residentMb(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kilobytes) / 1024);
}

/** A row of the table in `docs/reliability.md`. */
export function report(what: string, facts: Record<string, unknown>): void {
  const told = Object.entries(facts).map(([name, value]) => `${name} ${String(value)}`);
  process.stdout.write(`OUTAGE ${what}, ${OUTAGE_MS / 1000} s: ${told.join(', ')}\n`);
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return new RegExp(`^PPid:\\s+${parent}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return false;
      }
    })
    .map(Number);
}
