import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';
import { ServiceUnavailableError } from '../../common/errors/errors.js';
import { CONNECTION, type Connection, pgConfig } from '../../database/connection.js';
import { isConnectionFailure } from '../../database/database-errors.js';
import { ChannelNotFoundError } from '../broadcasting.errors.js';
import {
  PUBLISH,
  type Publication,
  type Published,
  type PublishedRow,
  publishParameters,
  toPublished,
} from './publication.js';

/** Of one transaction: the locks of its channels are held until it has reached the disk. */
const BATCH_MESSAGES_MAX = 256;
/** A batch is delivered in one turn, which is not to be more than a reader's buffer takes. */
const BATCH_CHARACTERS_MAX = 512 * 1024;
/** What waits when the database is slow; more is refused, so that memory is bounded. */
const WAITING_CHARACTERS_MAX = 64 * 1024 * 1024;
const WAITING_MESSAGES_MAX = 20_000;
const STATEMENT_TIMEOUT_MS = 15_000;

interface Waiting {
  readonly publication: Publication;
  resolve(published: Published): void;
  reject(error: unknown): void;
}

/** What is told of every message that has been committed here, in the order of its channel. */
type CommitListener = (published: Published) => void;

/**
 * Group commit: what is published while a transaction is on its way to the disk goes together in the next one, so that a hot channel
 * costs one flush for many messages. A connection of its own keeps it clear of the pool. There is one transaction at a time, hence
 * answers and listeners see each channel in the order of its sequence.
 */
@Injectable()
export class Publisher implements OnApplicationShutdown {
  private readonly logger = new Logger(Publisher.name);
  private readonly waiting: Waiting[] = [];
  private waitingCharacters = 0;
  private readonly listeners: CommitListener[] = [];
  private working: Promise<void> | null = null;
  private client: Promise<pg.Client> | null = null;

  constructor(@Inject(CONNECTION) private readonly connection: Connection) {}

  onCommit(listener: CommitListener): void {
    this.listeners.push(listener);
  }

  /** Resolves when the message is on disk. @throws ChannelNotFoundError for a user's channel without the user */
  publish(publication: Publication): Promise<Published> {
    const isFull = this.waiting.length >= WAITING_MESSAGES_MAX || this.waitingCharacters > WAITING_CHARACTERS_MAX;
    if (isFull) throw new ServiceUnavailableError('Too many messages are waiting to be published');
    return new Promise((resolve, reject) => {
      this.waiting.push({ publication, resolve, reject });
      this.waitingCharacters += publication.data.length;
      this.working ??= this.work();
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.working;
    await this.client?.then((client) => client.end()).catch(() => undefined);
  }

  private async work(): Promise<void> {
    // What arrives in the same turn of the loop goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.length > 0) await this.commit(this.nextBatch());
    // In the same turn: what is published after the last look has to begin anew.
    this.working = null;
  }

  /** The same key twice would not see itself in one transaction; the second waits for the next. */
  private nextBatch(): Waiting[] {
    const keys = new Set<string>();
    let characters = 0;
    let count = 0;
    for (const { publication } of this.waiting) {
      const { channel, senderId, idempotencyKey, data } = publication;
      const key = idempotencyKey === null ? null : `${channel} ${senderId} ${idempotencyKey}`;
      characters += data.length;
      if (count === BATCH_MESSAGES_MAX || (count > 0 && characters > BATCH_CHARACTERS_MAX)) break;
      if (key !== null && keys.has(key)) break;
      if (key !== null) keys.add(key);
      count++;
    }
    const batch = this.waiting.splice(0, count);
    for (const { publication } of batch) this.waitingCharacters -= publication.data.length;
    return batch;
  }

  /** A message that the database refuses does not take its neighbours with it. */
  private async commit(batch: readonly Waiting[]): Promise<void> {
    const publications = batch.map(({ publication }) => publication);
    let results: (Published | undefined)[];
    try {
      results = toPublished(publications, await this.write(publications));
    } catch (error) {
      if (batch.length > 1 && !isConnectionFailure(error)) for (const waiting of batch) await this.commit([waiting]);
      else for (const waiting of batch) waiting.reject(error);
      return;
    }
    batch.forEach((waiting, i) => this.settle(waiting, results[i]));
  }

  private settle(waiting: Waiting, published: Published | undefined): void {
    if (!published) return waiting.reject(new ChannelNotFoundError());
    if (published.isNew) for (const listener of this.listeners) this.tell(listener, published);
    waiting.resolve(published);
  }

  /** It has been committed: whatever a listener does, it is not published again. */
  private tell(listener: CommitListener, published: Published): void {
    try {
      listener(published);
    } catch (error) {
      this.logger.error('A listener to messages failed', error instanceof Error ? error.stack : String(error));
    }
  }

  private async write(publications: readonly Publication[]): Promise<PublishedRow[]> {
    const opening = (this.client ??= this.open());
    const client = await opening;
    try {
      const { rows } = await client.query<PublishedRow>({
        name: 'publish',
        text: PUBLISH,
        values: publishParameters(publications),
      });
      return rows;
    } catch (error) {
      if (isConnectionFailure(error)) this.abandon(opening, client);
      throw error;
    }
  }

  /** A connection that hangs would let everything wait that is published after. */
  private abandon(opening: Promise<pg.Client>, client: pg.Client): void {
    if (this.client === opening) this.client = null;
    client.connection.stream.destroy();
  }

  private open(): Promise<pg.Client> {
    const client = new pg.Client({
      ...pgConfig(this.connection),
      application_name: 'gatehouse',
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: STATEMENT_TIMEOUT_MS + 5_000,
      keepAlive: true,
    });
    const opening = client.connect().then(() => client);
    const forget = () => {
      if (this.client === opening) this.client = null;
    };
    client.on('error', forget);
    client.on('end', forget);
    opening.catch(forget);
    return opening;
  }
}
