import { createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The secret kept in `DATA_DIR/jwt-secret` (0600), made at the first start. It is written beside and linked into place,
 * so that a kill leaves a whole file or none, and of two processes that start at once both read the same secret.
 */
export function keptSecret(dataDir: string): string {
  const file = join(dataDir, 'jwt-secret');
  const read = () => {
    const secret = readFileSync(file, 'utf8').trim();
    if (secret.length < 32)
      throw new Error(`${file} does not hold a secret; restore it, or remove it to sign everybody out`);
    return secret;
  };
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  mkdirSync(dataDir, { recursive: true });
  const draft = `${file}.${process.pid}`;
  const descriptor = openSync(draft, 'wx', 0o600);
  writeSync(descriptor, `${randomBytes(48).toString('base64url')}\n`);
  fsyncSync(descriptor);
  closeSync(descriptor);
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  return read();
}

/** A key of its own for each purpose (HKDF, RFC 5869), so that no two purposes share a key. */
export function deriveKey(secret: string, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, 'gatehouse', purpose, 32)));
}

/** The key of the access tokens: the bytes of `JWT_SECRET` itself, so that other services can check a token with it. */
export function accessTokenKey(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret));
}
