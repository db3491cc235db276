import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Socket } from 'socket.io-client';
import { ask, connectTo } from './broadcast-clients.js';
import type { Cluster, ClusterNode, ClusterUser } from './broadcast-cluster.js';

/** Whoever waits longer has been forgotten. */
export const HANG_MS = 120_000;
const PAUSE_MS = 10;
const LOGIN_PAUSE_MS = 200;
const PASSWORD = 'SecurePass123!';

/** What one request has got. */
export interface Sample {
  readonly what: string;
  readonly node: string;
  /** When it was sent, by `performance.now()`. */
  readonly at: number;
  readonly ms: number;
  /** 0: the connection broke; -1: there was no answer. */
  readonly status: number;
  readonly retryAfter: string | null;
  readonly code: string | null;
  readonly headers: Headers | null;
  readonly body: any;
}

interface Call {
  readonly path: string;
  readonly token?: string;
  readonly method?: string;
  readonly body?: string | FormData;
  readonly type?: string;
  /** From where, as a proxy says. */
  readonly address?: string;
}

export async function send(node: ClusterNode, what: string, call: Call): Promise<Sample> {
  const at = performance.now();
  const base = { what, node: node.name, at };
  const headers = {
    ...(call.token && { Authorization: `Bearer ${call.token}` }),
    ...(call.type && { 'Content-Type': call.type }),
    ...(call.address && { 'X-Forwarded-For': call.address }),
  };
  try {
    const { path, method, body } = call;
    const response = await fetch(`${node.url}/api/v1${path}`, {
      ...{ method, headers, body },
      signal: AbortSignal.timeout(HANG_MS),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    const answer = isJson ? JSON.parse(text) : text;
    return {
      ...base,
      ms: performance.now() - at,
      status: response.status,
      retryAfter: response.headers.get('retry-after'),
      code: answer?.error_code ?? null,
      headers: response.headers,
      body: answer,
    };
  } catch (error) {
    const status = (error as Error).name === 'TimeoutError' ? -1 : 0;
    return { ...base, ms: performance.now() - at, status, retryAfter: null, code: null, headers: null, body: null };
  }
}

let addresses = 0;
/** One that nobody has used. */
export const newAddress = (): string => {
  const number = ++addresses;
  return `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
};

export const json = (body: object) => ({ method: 'POST', body: JSON.stringify(body), type: 'application/json' });
export const login = (node: ClusterNode, email: string, password = PASSWORD, address = newAddress()): Promise<Sample> =>
  send(node, 'login', { path: '/auth/login', ...json({ email, password }), address });

/** Callers who ask one thing after the other at each node, until they are stopped. */
export class Load {
  readonly samples: Sample[] = [];
  private readonly working: Promise<void>[] = [];
  private isStopped = false;

  constructor(private readonly nodes: readonly ClusterNode[]) {}

  /** Requests of one who is signed in, and logins. */
  static of({ nodes }: Cluster, user: ClusterUser, email: string): Load {
    const load = new Load(nodes);
    load.repeat(PAUSE_MS, (node) => send(node, 'read', { path: '/users/me', token: user.token }));
    load.repeat(PAUSE_MS, (node) => send(node, 'list', { path: '/uploads', token: user.token }));
    load.repeat(LOGIN_PAUSE_MS, (node) => login(node, email));
    return load;
  }

  repeat(pauseMs: number, call: (node: ClusterNode) => Promise<Sample>): void {
    for (const node of this.nodes) this.working.push(this.work(pauseMs, () => call(node)));
  }

  /** So many a second at each node, however long those before wait. */
  flood(perSecond: number, call: (node: ClusterNode) => Promise<Sample>): { stop(): void } {
    const timer = setInterval(() => {
      for (const node of this.nodes) this.working.push(call(node).then((sample) => void this.samples.push(sample)));
    }, 1_000 / perSecond);
    return { stop: () => clearInterval(timer) };
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.working);
  }

  /** What was sent in between. */
  between(from: number, to: number): Sample[] {
    return this.samples.filter(({ at }) => at >= from && at <= to);
  }

  private async work(pauseMs: number, call: () => Promise<Sample>): Promise<void> {
    while (!this.isStopped) {
      this.samples.push(await call());
      await delay(pauseMs);
    }
  }
}

/** How often each status came, with its code. */
export function statuses(samples: readonly Sample[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { what, status, code } of samples) {
    const key = [what, status, code].filter((part) => part !== null).join(' ');
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** The times of answers: half of them, 99 of 100, and the longest, in milliseconds. */
export function times(samples: readonly Sample[]): string {
  const sorted = samples.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return `${at(0.5)}/${at(0.99)}/${at(1)}`;
}

/** A socket that counts what is not durable and who is present. */
export class Watcher {
  readonly socket: Socket;
  readonly seen = new Set<number>();
  readonly presence: [event: string, username: string][] = [];
  readonly ends: string[] = [];
  disconnects = 0;

  private constructor(
    readonly node: ClusterNode,
    token: string,
  ) {
    this.socket = connectTo(node.url, token, { transports: ['websocket'] });
    this.socket.on('message', ({ data }: { data: { number: number } }) => this.seen.add(data.number));
    this.socket.on('session:ended', ({ reason }: { reason: string }) => this.ends.push(reason));
    this.socket.on('disconnect', () => this.disconnects++);
    for (const event of ['presence:joined', 'presence:left'])
      this.socket.on(event, ({ user }: { user: { username: string } }) => this.presence.push([event, user.username]));
  }

  static async at(node: ClusterNode, user: ClusterUser, channels: readonly string[]): Promise<Watcher> {
    const watcher = new Watcher(node, user.token);
    await once(watcher.socket as never, 'connect');
    for (const channel of channels) {
      const answer = await ask(watcher.socket, 'subscribe', { channel });
      if (!answer?.ok) throw new Error(`subscribe to ${channel}: ${JSON.stringify(answer)}`);
    }
    return watcher;
  }

  close(): void {
    this.socket.close();
  }
}

let volatileNumber = 0;

/** Publishes one that is not durable; gives its number. */
export async function sendVolatile(node: ClusterNode, token: string, channel: string): Promise<number> {
  const number = ++volatileNumber;
  const body = { channel, event: 'moved', data: { number }, durable: false };
  const { status, body: answer } = await send(node, 'volatile', {
    path: '/broadcasting/messages',
    token,
    ...json(body),
  });
  if (status !== 201) throw new Error(`a volatile message: ${status} ${JSON.stringify(answer)}`);
  return number;
}

/** Whether what is published at one node now reaches a socket at another. */
export async function crosses(from: ClusterNode, to: Watcher, token: string, channel: string): Promise<boolean> {
  const number = await sendVolatile(from, token, channel);
  for (let look = 0; look < 10 && !to.seen.has(number); look++) await delay(10);
  return to.seen.has(number);
}

/** Whether the two nodes count one address together: the second hit is the second for either. */
export async function countTogether(nodes: readonly ClusterNode[]): Promise<boolean> {
  const address = newAddress();
  const remaining: number[] = [];
  for (const node of nodes) {
    const { headers } = await send(node, 'nowhere', { path: '/nowhere', address });
    remaining.push(Number(headers?.get('x-ratelimit-remaining')));
  }
  return remaining[1] === remaining[0] - 1;
}

/** Who is present, as a node answers. */
export async function membersAt(node: ClusterNode, token: string, channel: string): Promise<string[]> {
  const { body } = await send(node, 'channel', { path: `/broadcasting/channels/${channel}`, token });
  return (body?.members ?? []).map(({ username }: { username: string }) => username);
}

/** A good answer, or one that says that it cannot be given now and when to ask again. */
export const isHonest = ({ status, retryAfter, code }: Sample): boolean =>
  status === 200 ||
  status === 201 ||
  (status === 503 && code === 'service_unavailable' && /^\d+$/.test(retryAfter ?? ''));
