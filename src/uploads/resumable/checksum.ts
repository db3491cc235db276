import { createHash, timingSafeEqual } from 'node:crypto';
import { Transform } from 'node:stream';
import { ChecksumMismatchError, ChecksumUnsupportedError } from '../uploads.errors.js';

export const CHECKSUM_ALGORITHMS = ['sha1', 'sha256', 'md5'];

/** The checksum of one request's body, of the tus protocol's extension: `Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`. */
export class Checksum {
  private readonly hash;

  private constructor(
    algorithm: string,
    private readonly expected: Buffer,
  ) {
    this.hash = createHash(algorithm);
  }

  /** @throws ChecksumUnsupportedError */
  static from(header: string): Checksum {
    const [, algorithm = '', digest = ''] = /^(\w+) ([A-Za-z0-9+/]+={0,2})$/.exec(header) ?? [];
    if (!CHECKSUM_ALGORITHMS.includes(algorithm)) throw new ChecksumUnsupportedError();
    return new Checksum(algorithm, Buffer.from(digest, 'base64'));
  }

  /** A stream to lead the body through. */
  meter(): Transform {
    return new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        this.hash.update(chunk);
        done(null, chunk);
      },
    });
  }

  /** @throws ChecksumMismatchError */
  verify(): void {
    const actual = this.hash.digest();
    if (actual.length !== this.expected.length || !timingSafeEqual(actual, this.expected))
      throw new ChecksumMismatchError();
  }
}
