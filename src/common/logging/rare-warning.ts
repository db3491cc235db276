import type { LoggerService } from '@nestjs/common';

const EVERY_MS = 60_000;

/** A warning about what may happen with every request: said once a minute. */
export class RareWarning {
  private saidAt = -Infinity;

  constructor(private readonly logger: LoggerService) {}

  say(message: string): void {
    if (performance.now() - this.saidAt < EVERY_MS) return;
    this.saidAt = performance.now();
    this.logger.warn(message);
  }
}
