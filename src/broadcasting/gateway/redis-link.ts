import { setTimeout as delay } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import { createClient } from 'redis';
import { redisOptions } from '../../coordination/redis-options.js';
import { Outage } from '../../common/logging/outage.js';

const NAME = 'gatehouse.io';
const RETRY_MS = 1_000;
/** Shorter than the silence after which a connection is given up. */
const READ_BLOCK_MS = 1_000;
/** A Redis that has not taken a message after so long is sent no others until it has. */
const TAKEN_WITHIN_MS = 2_000;
/** What waits for Redis to take it; anything more is dropped. */
const WAITING_MAX = 10_000;
const WAITING_BYTES_MAX = 32 * 1024 * 1024;

const never = new Promise<never>(() => undefined);

const connectionTo = (url: string) =>
  createClient({
    ...redisOptions(url),
    // The answers that the adapter expects.
    RESP: 2,
  });

type Client = ReturnType<typeof connectionTo>;

/**
 * Redis as Socket.IO's adapter for it needs it, so that it can be away, at start and later. The adapter catches nothing: what its
 * connections rejected would end the process, and it asks one that fails again without a pause.
 */
export class RedisLink {
  private readonly logger = new Logger(RedisLink.name);
  private readonly absence = new Outage(this.logger, {
    begin: 'Redis is away, trying again; messages that are not durable reach the clients of their own node only',
    end: 'Redis is there',
  });
  private readonly congestion = new Outage(this.logger, {
    begin: 'Redis is too slow: messages that are not durable are dropped',
    end: 'Redis keeps up again',
  });
  private readonly client: Client;
  private readonly clients: Client[] = [];
  private waiting = 0;
  private waitingBytes = 0;
  /** When Redis last took a message, or began to have one before it. */
  private progressAt = 0;
  private isClosed = false;

  constructor(url: string) {
    const client = connectionTo(url);
    const [duplicate, publish] = [client.duplicate.bind(client), client.publish.bind(client)];
    this.client = Object.assign(client, {
      duplicate: () => this.hardened(duplicate() as Client),
      publish: (channel: string, message: Buffer) => this.publish(() => publish(channel, message), message.length),
    }) as Client;
    this.clients.push(client);
    client.on('error', (error) => this.isClosed || this.absence.begin(error));
    client.on('ready', () => this.absence.end());
  }

  /** What a Socket.IO server takes as its adapter. Connects, now or later. */
  adapter(): ReturnType<typeof createAdapter> {
    void this.persist(() => this.client.connect());
    return createAdapter(this.client, { streamName: NAME, channelPrefix: NAME, blockTimeInMs: READ_BLOCK_MS });
  }

  close(): void {
    this.isClosed = true;
    for (const client of this.clients) if (client.isOpen) client.destroy();
  }

  /** Not kept for a Redis that is away: what is not durable is of no use afterwards. */
  private async publish(send: () => Promise<unknown>, bytes: number): Promise<void> {
    if (!this.client.isReady) return;
    if (this.waiting === 0) this.progressAt = performance.now();
    else if (performance.now() - this.progressAt > TAKEN_WITHIN_MS) return this.congestion.begin();
    if (this.waiting >= WAITING_MAX || this.waitingBytes + bytes > WAITING_BYTES_MAX) return this.congestion.begin();
    this.waiting++;
    this.waitingBytes += bytes;
    try {
      await send();
    } catch (error) {
      this.logger.debug(`A message to other nodes is lost: ${(error as Error).message}`);
    } finally {
      this.progressAt = performance.now();
      this.waiting--;
      this.waitingBytes -= bytes;
      if (this.waiting === 0) this.congestion.end();
    }
  }

  /** For the connections that the adapter makes: it reads on one and subscribes on another. */
  private hardened(client: Client): Client {
    this.clients.push(client);
    const { connect, subscribe, xRead } = client;
    return Object.assign(client, {
      connect: () => this.persist(() => connect.call(client)),
      subscribe: (...given: Parameters<Client['subscribe']>) => this.persist(() => subscribe.apply(client, given)),
      xRead: (...given: Parameters<Client['xRead']>) => this.persist(() => xRead.apply(client, given)),
      // `close()` does it, for all.
      disconnect: () => Promise.resolve(),
    });
  }

  /** Tries until it works, with pauses; after `close()` it neither works nor fails. */
  private async persist<T>(attempt: () => Promise<T>): Promise<T> {
    while (!this.isClosed) {
      try {
        return await attempt();
      } catch {
        if (!this.isClosed) await delay(RETRY_MS, undefined, { ref: false });
      }
    }
    return never;
  }
}
