import { Logger, type BeforeApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import type { DatabaseListener } from '../../database/database-listener.js';
import type { LocalAudience } from '../delivery/local-audience.js';
import type { ChannelMessageResponse } from '../dto/channel-message.response.js';
import { BoundedQueue } from './bounded-queue.js';
import { Outage } from '../../common/logging/outage.js';
import { VolatileBus } from './volatile-bus.js';

const TOPIC = 'gatehouse_volatile';
const MIB = 1024 * 1024;
const QUEUE_MAX = { count: 10_000, bytes: 32 * MIB };
const BATCH_MAX = { count: 500, bytes: MIB };
/** Announced batches that wait to be fetched, and those fetched at once. */
const ANNOUNCED_MAX = 10_000;
const FETCHED_MAX = 32;
const SWEEP_EVERY_MS = 30_000;

/** Nothing waits for a disk. A batch is told by where it begins and ends, whatever its messages are. */
const SEND = `
  WITH sent AS (
    INSERT INTO volatile_messages (node_id, body, created_at)
    SELECT $1, body, now() FROM unnest($2::text[]) WITH ORDINALITY AS given (body, place) ORDER BY place
    RETURNING id
  )
  SELECT set_config('synchronous_commit', 'off', true),
    pg_notify('${TOPIC}', concat_ws(' ', $1::uuid, min(id), max(id))) FROM sent`;

/** Other nodes' messages lie between. One look into the index for each batch: a plain join would be planned as a scan of the table. */
const FETCH = `
  SELECT body FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS batch (node_id, first, last, place)
  CROSS JOIN LATERAL (
    SELECT id, body FROM volatile_messages
    WHERE id BETWEEN batch.first AND batch.last AND node_id = batch.node_id ORDER BY id OFFSET 0
  ) AS message
  ORDER BY place, id`;

const SWEEP = `DELETE FROM volatile_messages WHERE created_at < now() - interval '1 minute'`;

/** By the database, where there is no Redis: what this node sends at a time is one statement, what it hears of at a time another. */
export class PostgresBus extends VolatileBus implements OnModuleInit, BeforeApplicationShutdown {
  protected readonly logger = new Logger(PostgresBus.name);
  private readonly outage = new Outage(this.logger, {
    begin: 'Messages that are not durable reach the clients of their own node only',
    end: 'Messages that are not durable reach every node again',
  });
  private readonly congestion = new Outage(this.logger, {
    begin: 'The database is too slow: messages that are not durable are dropped',
    end: 'The database keeps up again',
  });
  private readonly outbox = new BoundedQueue(QUEUE_MAX, BATCH_MAX);
  private announced: string[] = [];
  private isSending = false;
  private isFetching = false;
  private isClosed = false;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly database: DataSource,
    audience: LocalAudience,
    private readonly nodeId: string,
    listener: DatabaseListener,
  ) {
    super(audience);
    listener.on(TOPIC, (batch) => this.hear(batch));
  }

  onModuleInit(): void {
    this.timer = setInterval(() => void this.sweep(), SWEEP_EVERY_MS).unref();
  }

  /** Before the database's connections are closed. */
  beforeApplicationShutdown(): void {
    this.isClosed = true;
    if (this.timer) clearInterval(this.timer);
    this.outbox.clear();
    this.announced = [];
  }

  attach(): void {
    // It does not go by Socket.IO.
  }

  send(message: ChannelMessageResponse): Promise<void> {
    this.emit(message);
    if (this.isClosed) return Promise.resolve();
    if (!this.outbox.push(JSON.stringify(message))) this.congestion.begin();
    if (!this.isSending) void this.sendAll();
    return Promise.resolve();
  }

  /** What comes while a batch is on its way is the next one. */
  private async sendAll(): Promise<void> {
    this.isSending = true;
    while (!this.outbox.isEmpty) await this.ask(SEND, [this.nodeId, this.outbox.takeBatch()]);
    this.isSending = false;
    this.settle();
  }

  private hear(batch: string): void {
    if (this.isClosed || batch.startsWith(this.nodeId)) return;
    if (this.announced.length < ANNOUNCED_MAX) this.announced.push(batch);
    else this.congestion.begin();
    if (!this.isFetching) void this.fetchAll();
  }

  /** One at a time, so that a sender's messages stay in their order. */
  private async fetchAll(): Promise<void> {
    this.isFetching = true;
    while (this.announced.length > 0) {
      const batches = this.announced.splice(0, FETCHED_MAX).map((batch) => batch.split(' '));
      const rows = await this.ask(
        FETCH,
        [0, 1, 2].map((part) => batches.map((batch) => batch[part])),
      );
      for (const { body } of rows) this.receive(body);
    }
    this.isFetching = false;
    this.settle();
  }

  private sweep(): Promise<unknown> {
    return this.ask(SWEEP, []);
  }

  /** What fails is lost: by the time that it would work it were of no use. */
  private async ask(statement: string, values: unknown[]): Promise<{ body: string }[]> {
    try {
      const rows = await this.database.query<{ body: string }[]>(statement, values);
      this.outage.end();
      return rows;
    } catch (error) {
      if (!this.isClosed) this.outage.begin(error);
      return [];
    }
  }

  private settle(): void {
    if (!this.isSending && !this.isFetching) this.congestion.end();
  }
}
