import { Readable } from 'node:stream';

/**
 * The bytes of a message, which are asked for when the server has said that it takes them. Until then nothing has been sent; what
 * becomes of a mail whose bytes have left is the server's to say.
 */
export class SmtpHandover {
  private hasLeft = false;

  constructor(
    private readonly bytes: Buffer,
    private readonly begin: () => Promise<void>,
  ) {}

  get hasBegun(): boolean {
    return this.hasLeft;
  }

  /** Another stream for another connection, as long as none has given its bytes away. */
  open(): Readable {
    const isLate = this.hasLeft;
    let isAsked = false;
    const stream: Readable = new Readable({
      read: () => {
        if (isAsked) return;
        isAsked = true;
        if (isLate) stream.destroy(new Error('the message has been handed over before'));
        else
          this.begin().then(
            () => this.release(stream),
            (error: Error) => stream.destroy(error),
          );
      },
    });
    return stream;
  }

  private release(stream: Readable): void {
    // The connection may have been lost meanwhile.
    if (stream.destroyed) return;
    if (this.hasLeft) return void stream.destroy(new Error('the message has been handed over before'));
    this.hasLeft = true;
    stream.push(this.bytes);
    stream.push(null);
  }
}
