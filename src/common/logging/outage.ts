import type { Logger } from '@nestjs/common';

/** Says once that something has begun to fail, and once that it works again. */
export class Outage {
  private isOn = false;

  constructor(
    private readonly logger: Logger,
    private readonly sentences: { readonly begin: string; readonly end: string },
  ) {}

  begin(cause?: unknown): void {
    if (this.isOn) return;
    this.isOn = true;
    const { message = String(cause), code } = (cause ?? {}) as NodeJS.ErrnoException;
    this.logger.warn(cause === undefined ? this.sentences.begin : `${this.sentences.begin}: ${message || code}`);
  }

  end(): void {
    if (this.isOn) this.logger.log(this.sentences.end);
    this.isOn = false;
  }
}
