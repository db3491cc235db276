import { setTimeout as delay } from 'node:timers/promises';
import type { Socket } from 'socket.io-client';
import { ask, connectTo, type Message } from './broadcast-clients.js';
import { type ClusterUser, type HistoryAnswer, request } from './broadcast-cluster.js';
import type { Dice } from './uploads.js';

const PAUSE_MAX_MS = 20;
/** Before a node that is down is tried again. */
const DOWN_MS = 30;
const FILLER_MAX = 2_000;

/** A node, or something in front of several. */
export interface Endpoint {
  readonly url: string;
}

export interface Sent {
  publisher: string;
  channel: string;
  data: { number: number; text: string };
  idempotency_key?: string;
}

interface Acknowledged {
  sent: Sent;
  message: Message;
}

type Outcome = { status: number; message: Message } | null;

/** What was published, and what of it was acknowledged. */
export class Ledger {
  readonly sent: Sent[] = [];
  readonly acknowledged: Acknowledged[] = [];
  readonly faults: string[] = [];
  /** Attempts that failed and were made again with the same key. */
  retries = 0;
  /** Those that had been stored: only the acknowledgement was lost. */
  rediscovered = 0;
  /** Attempts without an answer. */
  unanswered = 0;
  private readonly listeners = new Set<(node: Endpoint, status: number) => void>();

  constructor(private readonly dice: Dice) {}

  next(publisher: string, channel: string, hasKey: boolean): Sent {
    const number = this.sent.length + 1;
    const text = this.dice.text(this.dice.int(0, FILLER_MAX)).toString();
    const sent = { publisher, channel, data: { number, text }, ...(hasKey && { idempotency_key: `key ${number}` }) };
    this.sent.push(sent);
    return sent;
  }

  /** The acknowledged messages that are not where the acknowledgement said, as it said. */
  lost(logs: ReadonlyMap<string, HistoryAnswer>): Acknowledged[] {
    return this.acknowledged.filter(({ sent, message }) => {
      const kept = logs.get(sent.channel)?.items[message.sequence - 1];
      return JSON.stringify(kept) !== JSON.stringify({ ...message, data: sent.data });
    });
  }

  /** What was repeated until it was acknowledged, and is not there. */
  missing(logs: ReadonlyMap<string, HistoryAnswer>): Sent[] {
    const kept = new Set(storedNumbers(logs));
    return this.sent.filter(({ idempotency_key, data }) => idempotency_key && !kept.has(data.number));
  }

  /** Calls back at once, before anything else happens, until it answers `true`. */
  onAnswer(listener: (node: Endpoint, status: number) => boolean): void {
    const ask = (node: Endpoint, status: number) => {
      if (listener(node, status)) this.listeners.delete(ask);
    };
    this.listeners.add(ask);
  }

  answered(node: Endpoint, sent: Sent, attempt: number, outcome: Outcome): void {
    if (!outcome) {
      this.unanswered++;
      return;
    }
    const { status, message } = outcome;
    if (status === 200 && attempt > 1) this.rediscovered++;
    else if (status !== 201 && status !== 503)
      this.faults.push(`message ${sent.data.number}, attempt ${attempt}: ${status} ${JSON.stringify(message)}`);
    if (status === 200 || status === 201) this.acknowledged.push({ sent, message });
    for (const listener of this.listeners) listener(node, status);
  }
}

/** What is stored, as often as it is. */
export const storedNumbers = (logs: ReadonlyMap<string, HistoryAnswer>): number[] =>
  [...logs.values()].flatMap(({ items }) => items.map(({ data }) => data.number as number));

/** Publishes one message after the other until it is stopped; those with a key it repeats until they are acknowledged. */
abstract class Publisher {
  private isStopped = false;
  private working: Promise<void> | null = null;
  private count = 0;

  constructor(
    private readonly name: string,
    protected readonly user: ClusterUser,
    /** The second is asked when the first fails. */
    protected readonly nodes: readonly Endpoint[],
    private readonly channels: readonly string[],
    private readonly ledger: Ledger,
    private readonly dice: Dice,
  ) {}

  start(): void {
    this.working = this.work();
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.working;
    this.close();
  }

  protected abstract attempt(node: Endpoint, sent: Sent): Promise<Outcome>;
  protected abstract close(): void;

  private async work(): Promise<void> {
    while (!this.isStopped) {
      const sent = this.ledger.next(this.name, this.dice.pick(this.channels), this.count++ % 2 === 0);
      await this.publish(sent);
      await delay(this.dice.int(0, PAUSE_MAX_MS));
    }
  }

  private async publish(sent: Sent): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const node = this.nodes[(attempt - 1) % this.nodes.length];
      const outcome = await this.attempt(node, sent);
      this.ledger.answered(node, sent, attempt, outcome);
      if (outcome && outcome.status !== 503) return;
      await delay(DOWN_MS);
      if (!sent.idempotency_key) return;
      this.ledger.retries++;
    }
  }
}

export class RestPublisher extends Publisher {
  protected async attempt(node: Endpoint, { channel, data, idempotency_key }: Sent): Promise<Outcome> {
    const body = { channel, event: 'crash.test', data, idempotency_key };
    const reply = await request(`${node.url}/api/v1/broadcasting/messages`, this.user.token, { method: 'POST', body });
    return reply && { status: reply.status, message: reply.body };
  }

  protected close(): void {}
}

export class SocketPublisher extends Publisher {
  private readonly sockets = new Map<Endpoint, Socket>();

  protected async attempt(node: Endpoint, { channel, data, idempotency_key }: Sent): Promise<Outcome> {
    const socket = this.socketTo(node);
    // What is sent to a socket that is away waits for it, and nobody would know how long.
    if (!socket.connected) return null;
    const answer = await ask(socket, 'publish', { channel, event: 'crash.test', data, idempotency_key });
    if (!answer) return null;
    const { ok, error, ...message } = answer;
    // An acknowledgement does not tell whether the message is new.
    return ok ? { status: 201, message } : { status: error.code, message: error };
  }

  protected close(): void {
    for (const socket of this.sockets.values()) socket.close();
  }

  private socketTo(node: Endpoint): Socket {
    const socket = this.sockets.get(node) ?? connectTo(node.url, this.user.token, { transports: ['websocket'] });
    this.sockets.set(node, socket);
    return socket;
  }
}
