import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { AppConfig } from '../../config/app-config.js';
import type { Published } from './publication.js';
import { Publisher } from './publisher.js';
import { type DueChannel, RetentionRepository } from './retention.repository.js';

const EVERY_MS = 5_000;
/** Looked at each time, in turn: a look costs the same however many channels there are. */
const CHANNELS = 1_000;
const BATCH = 5_000;
/** A channel that has grown so far past what it keeps does not wait for its turn. */
const SURPLUS_FACTOR = 1.2;
const SURPLUS_MIN = 1_000;

/** Removes messages that are past their time, by age and by count, batch by batch. Every node does; they do not get in each other's way. */
@Injectable()
export class Retention implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(Retention.name);
  private timer: NodeJS.Timeout | null = null;
  private working: Promise<unknown> | null = null;
  private readonly overgrown = new Set<string>();
  private lastId = '0';
  private isStopped = false;

  constructor(
    private readonly repository: RetentionRepository,
    private readonly config: AppConfig,
    publisher: Publisher,
  ) {
    publisher.onCommit((published) => this.watch(published));
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.workInBackground(), EVERY_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    if (this.timer) clearInterval(this.timer);
    await this.working;
  }

  /** Looks at every channel once. */
  async sweepAll(): Promise<void> {
    this.lastId = '0';
    do await this.sweepNext();
    while (this.lastId !== '0' && !this.isStopped);
  }

  private watch({ message, firstSequence }: Published): void {
    const kept = (message.sequence ?? 0) - firstSequence + 1;
    const { retentionCount } = this.config.broadcasting;
    if (kept > retentionCount * SURPLUS_FACTOR + SURPLUS_MIN && !this.overgrown.has(message.channel)) {
      this.overgrown.add(message.channel);
      this.workInBackground();
    }
  }

  private workInBackground(): void {
    this.working ??= this.work().finally(() => (this.working = null));
  }

  private async work(): Promise<void> {
    try {
      for (const name of this.overgrown) {
        for (const channel of await this.repository.findByName(name)) await this.trim(channel);
        this.overgrown.delete(name);
      }
      await this.sweepNext();
    } catch (error) {
      this.logger.warn(`Old messages could not be removed; the next sweep tries again: ${(error as Error).message}`);
    }
  }

  private async sweepNext(): Promise<void> {
    const { due, lastId } = await this.repository.findDue(this.lastId, CHANNELS);
    for (const channel of due) if (!this.isStopped) await this.trim(channel);
    this.lastId = lastId ?? '0';
  }

  private async trim({ id }: DueChannel): Promise<void> {
    await this.repository.advance(id);
    for (let removed = BATCH; removed === BATCH && !this.isStopped;) removed = await this.repository.remove(id, BATCH);
  }
}
