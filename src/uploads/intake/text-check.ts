import { isUtf8 } from 'node:buffer';

/** Plain JSON. */
export interface TextCheckState {
  readonly hasFailed: boolean;
  readonly unfinished: string;
}

/** Tells whether bytes that come in chunks are text: UTF-8 throughout, without NUL. Keeps no more than an unfinished character. */
export class TextCheck {
  private hasFailed = false;
  private unfinished: Buffer = Buffer.alloc(0);

  /** Goes on where another check has been. */
  static from({ hasFailed, unfinished }: TextCheckState): TextCheck {
    const check = new TextCheck();
    check.hasFailed = hasFailed;
    check.unfinished = Buffer.from(unfinished, 'base64');
    return check;
  }

  get state(): TextCheckState {
    return { hasFailed: this.hasFailed, unfinished: this.unfinished.toString('base64') };
  }

  add(chunk: Buffer): void {
    if (this.hasFailed) return;
    const missing = this.unfinished.length > 0 ? sequenceLength(this.unfinished[0]) - this.unfinished.length : 0;
    const joined = Buffer.concat([this.unfinished, chunk.subarray(0, missing)]);
    if (chunk.length < missing) {
      this.unfinished = joined;
      return;
    }
    const rest = chunk.subarray(missing);
    const end = rest.length - unfinishedLength(rest);
    const complete = rest.subarray(0, end);
    this.hasFailed = !isUtf8(joined) || !isUtf8(complete) || complete.includes(0);
    // A copy: the chunk's memory belongs to somebody else.
    this.unfinished = Buffer.from(rest.subarray(end));
  }

  /** Nothing so far is against it; an unfinished character at the end may yet be finished. */
  get couldBeText(): boolean {
    return !this.hasFailed;
  }

  /** All bytes have been added, and they are text. */
  isText(): boolean {
    return !this.hasFailed && this.unfinished.length === 0;
  }
}

/** How many bytes the character has that begins with this one (RFC 3629); one that begins none needs no others to be wrong. */
function sequenceLength(lead: number): number {
  if (lead >= 0xf5) return 1;
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc2 ? 2 : 1;
}

/** The length of a character at the end of which bytes are still to come. */
function unfinishedLength(bytes: Buffer): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const byte = bytes[bytes.length - length];
    const isContinuation = (byte & 0xc0) === 0x80;
    if (!isContinuation) return sequenceLength(byte) > length ? length : 0;
  }
  return 0;
}
