import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationShutdown } from '@nestjs/common';
import type { Lock, Locker, RequestRelease } from '@tus/utils';
import pg from 'pg';
import { CONNECTION, type Connection, pgConfig } from '../../database/connection.js';
import { UploadLockedError } from '../uploads.errors.js';

/** A holder that is asked to let go needs a few seconds to bring what it has received to the disk. */
const WAIT_MS = 10_000;
const POLL_MS = 200;
/** Sets these locks apart from others of the same database. */
const LOCK_CLASS = 7_238_145;

interface Holder {
  readonly released: Promise<void>;
  readonly requestRelease: RequestRelease;
}

/**
 * One request at a time writes to a resumable upload. Within the process the holder is asked to let go, as the protocol wants it: a
 * client that comes back has lost its old connection, even if we have not noticed. Between processes it is an advisory lock of a database
 * connection, which ends with the process: a killed holder holds nothing.
 */
@Injectable()
export class UploadLocker implements Locker, BeforeApplicationShutdown, OnApplicationShutdown {
  private readonly logger = new Logger(UploadLocker.name);
  private readonly holders = new Map<string, Holder>();
  private client: Promise<pg.Client> | null = null;

  constructor(@Inject(CONNECTION) private readonly connection: Connection) {}

  newLock(id: string): Lock {
    let release = () => {};
    return {
      lock: async (signal, requestRelease) => {
        release = await this.acquire(id, signal, requestRelease);
      },
      unlock: async () => release(),
    };
  }

  /** Long requests are asked to bring what they have to the disk; their clients go on elsewhere, or when we are back. */
  beforeApplicationShutdown(): void {
    for (const { requestRelease } of this.holders.values()) void requestRelease();
  }

  async onApplicationShutdown(): Promise<void> {
    const client = this.client;
    this.client = null;
    await (await client?.catch(() => null))?.end();
  }

  /** @throws UploadLockedError */
  private async acquire(id: string, signal: AbortSignal, requestRelease: RequestRelease): Promise<() => void> {
    const deadline = Date.now() + WAIT_MS;
    for (let holder = this.holders.get(id); holder; holder = this.holders.get(id)) {
      void holder.requestRelease();
      await Promise.race([holder.released, delay(Math.max(0, deadline - Date.now()))]);
      if (Date.now() >= deadline || signal.aborted) throw new UploadLockedError();
    }
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    this.holders.set(id, { released, requestRelease });
    const leave = () => {
      this.holders.delete(id);
      release();
    };
    try {
      const client = await this.lockAmongProcesses(id, deadline, signal);
      return () => void this.unlock(client, id).finally(leave);
    } catch (error) {
      leave();
      throw error;
    }
  }

  private async lockAmongProcesses(id: string, deadline: number, signal: AbortSignal): Promise<pg.Client> {
    const client = await (this.client ??= this.open());
    for (;;) {
      const { rows } = await client.query<{ is_locked: boolean }>(
        'SELECT pg_try_advisory_lock($1, hashtext($2)) AS is_locked',
        [LOCK_CLASS, id],
      );
      if (rows[0].is_locked) return client;
      if (Date.now() >= deadline || signal.aborted) throw new UploadLockedError();
      await delay(POLL_MS);
    }
  }

  private async unlock(client: pg.Client, id: string): Promise<void> {
    try {
      await client.query('SELECT pg_advisory_unlock($1, hashtext($2))', [LOCK_CLASS, id]);
    } catch (error) {
      this.logger.debug(`The lock of upload ${id} went with its connection: ${(error as Error).message}`);
    }
  }

  /** Whoever holds a lock when the connection breaks holds it no more, and is asked to stop. */
  private open(): Promise<pg.Client> {
    const client = new pg.Client({
      ...pgConfig(this.connection),
      application_name: 'gatehouse locks',
      keepAlive: true,
    });
    const opening = client.connect().then(() => client);
    const forget = () => {
      if (this.client !== opening) return;
      this.client = null;
      for (const { requestRelease } of this.holders.values()) void requestRelease();
    };
    client.on('error', forget);
    client.on('end', forget);
    opening.catch(forget);
    return opening;
  }
}
