import type { Logger } from '@nestjs/common';

/** Background work that is tried again and again is logged when it begins to fail and when it works again. */
export class OutageLog {
  private isOut = false;

  /** @param failure a sentence without its end */
  constructor(
    private readonly logger: Logger,
    private readonly failure: string,
  ) {}

  failed(error: unknown): void {
    if (!this.isOut) this.logger.warn(`${this.failure}, trying again: ${messageOf(error)}`);
    this.isOut = true;
  }

  over(): void {
    if (this.isOut) this.logger.log(`It works again: ${this.failure}`);
    this.isOut = false;
  }
}

export const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
