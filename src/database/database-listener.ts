import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import pg from 'pg';
import { withTimeout } from '../common/limits/with-timeout.js';
import { CONNECTION, type Connection, pgConfig } from './connection.js';

type TopicListener = (payload: string) => void;
type ResyncListener = () => void;

const PING_EVERY_MS = 1_000;
/** A connection that hangs is as good as lost, and nothing else would tell. */
const ANSWER_TIMEOUT_MS = 2_000;
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 2_000;
const END_TIMEOUT_MS = 1_000;

/**
 * Hears what the database announces (LISTEN/NOTIFY) on a connection of its own. What is announced while there is none is lost: whoever
 * listens to a topic also reads the state that it tells of on a resync.
 */
@Injectable()
export class DatabaseListener implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(DatabaseListener.name);
  private readonly topics = new Map<string, TopicListener[]>();
  private readonly resyncs: ResyncListener[] = [];
  /** The one that is open or being opened; events of any other are of no interest. */
  private client: pg.Client | null = null;
  private timer: NodeJS.Timeout | null = null;
  private hasStarted = false;
  private isListening = false;
  private isLost = false;
  private attempts = 0;

  constructor(@Inject(CONNECTION) private readonly connection: Connection) {}

  /** Must be called before the application has bootstrapped (constructors, onModuleInit). Topic names are plain identifiers. */
  on(topic: string, listener: TopicListener): void {
    if (this.hasStarted) throw new Error(`Nobody listens to ${topic}: the topics are fixed by now`);
    this.topics.set(topic, [...(this.topics.get(topic) ?? []), listener]);
  }

  /** Called when notifications may have been missed: after each connection but the first, and after a first one that came late. */
  onResync(listener: ResyncListener): void {
    this.resyncs.push(listener);
  }

  /** Whether announcements arrive, as far as is known: a connection that hangs is found out within seconds. */
  get isConnected(): boolean {
    return this.isListening;
  }

  async onApplicationBootstrap(): Promise<void> {
    this.hasStarted = true;
    if (this.topics.size > 0) await this.connect();
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    const { client, isListening } = this;
    this.client = null;
    this.isListening = false;
    if (!client) return;
    // One that is being opened would wait for its server.
    if (isListening) await withTimeout(client.end(), END_TIMEOUT_MS).catch(() => undefined);
    client.connection.stream.destroy();
  }

  /** Never fails: a database that is away is asked again. */
  private async connect(): Promise<void> {
    const client = new pg.Client({
      ...pgConfig(this.connection),
      application_name: 'gatehouse',
      keepAlive: true,
      query_timeout: ANSWER_TIMEOUT_MS,
    });
    this.client = client;
    client.on('notification', ({ channel, payload = '' }) => this.hear(channel, payload));
    client.on('error', (error) => this.lose(client, error));
    client.on('end', () => this.lose(client, new Error('the connection has ended')));
    try {
      await client.connect();
      await client.query([...this.topics.keys()].map((topic) => `LISTEN ${pg.escapeIdentifier(topic)}`).join(';'));
      if (this.client === client) this.begin(client);
    } catch (error) {
      this.lose(client, error as Error);
    }
  }

  private begin(client: pg.Client): void {
    this.isListening = true;
    this.pingLater(client);
    if (!this.isLost) return;
    this.isLost = false;
    this.logger.log('The database’s announcements are heard again');
    for (const listener of this.resyncs) this.call('A resync', listener);
  }

  private pingLater(client: pg.Client): void {
    this.timer = setTimeout(() => void this.ping(client), PING_EVERY_MS).unref();
  }

  private async ping(client: pg.Client): Promise<void> {
    try {
      await client.query('SELECT 1');
      // Not before: a connection that is made and breaks at once, over and over, is retried less and less often.
      this.attempts = 0;
      if (this.client === client) this.pingLater(client);
    } catch (error) {
      this.lose(client, error as Error);
    }
  }

  /** However it was lost: not ended but destroyed, since one that hangs never answers a goodbye. */
  private lose(client: pg.Client, error: NodeJS.ErrnoException): void {
    if (this.client !== client) return;
    this.client = null;
    this.isListening = false;
    client.connection.stream.destroy();
    if (this.timer) clearTimeout(this.timer);
    const delay = this.attempts === 0 ? 0 : Math.min(RETRY_MIN_MS * 2 ** (this.attempts - 1), RETRY_MAX_MS);
    this.attempts++;
    this.timer = setTimeout(() => void this.connect(), delay).unref();
    if (this.isLost) return;
    this.isLost = true;
    this.logger.warn(`The database’s announcements are not heard, trying again: ${error.message || error.code}`);
  }

  private hear(topic: string, payload: string): void {
    for (const listener of this.topics.get(topic) ?? []) this.call(`A listener to ${topic}`, () => listener(payload));
  }

  private call(what: string, listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.logger.error(`${what} failed`, error instanceof Error ? error.stack : String(error));
    }
  }
}
