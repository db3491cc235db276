import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { ReservationsRepository } from '../reservations.repository.js';

/** A pending upload that nobody works on ends after so long: well within a minute of a killed process's next start. */
export const LEASE_SECONDS = 30;
const RENEW_MS = 10_000;

/** The uploads that this process is receiving. Their rows say so to the reconcilers of all nodes, and go on saying so while they last. */
@Injectable()
export class LiveUploads implements OnApplicationShutdown {
  private readonly logger = new Logger(LiveUploads.name);
  private readonly ids = new Set<string>();
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly reservations: ReservationsRepository) {}

  add(id: string): void {
    this.ids.add(id);
    this.timer ??= setInterval(() => void this.renew(), RENEW_MS).unref();
  }

  get count(): number {
    return this.ids.size;
  }

  delete(id: string): void {
    this.ids.delete(id);
  }

  onApplicationShutdown(): void {
    if (this.timer) clearInterval(this.timer);
  }

  private async renew(): Promise<void> {
    if (this.ids.size === 0) return;
    try {
      await this.reservations.extend([...this.ids], LEASE_SECONDS);
    } catch (error) {
      this.logger.warn(`${this.ids.size} uploads in progress could not be renewed: ${(error as Error).message}`);
    }
  }
}
