import { createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { ConfigurationError } from './environment.js';

/**
 * The secret kept in `DATA_DIR/jwt-secret` (0600), made at the first start. It is written beside and linked into place,
 * so that a kill leaves a whole file or none, and of two processes that start at once both read the same secret.
 */
export function keptSecret(dataDir: string): string {
  const file = join(dataDir, 'jwt-secret');
  try {
    return readSecret(file) ?? makeSecret(file);
  } catch (error) {
    // What the system says names the place.
    const { syscall, message } = error as NodeJS.ErrnoException;
    if (!syscall) throw error;
    throw new ConfigurationError([
      `DATA_DIR is ${JSON.stringify(dataDir)}; it takes a folder in which this user may read and write (${message}); name another, or give this one and what is in it to this user`,
    ]);
  }
}

function readSecret(file: string): string | null {
  let secret: string;
  try {
    secret = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  if (secret.length >= 32) return secret;
  throw new ConfigurationError([`${file} does not hold a secret; restore it, or remove it to sign everybody out`]);
}

/** With those above it. Node's own `recursive` never returns where nothing can be made in a folder that is there, as in /proc. */
function makeFolder(path: string): void {
  if (!existsSync(dirname(path))) makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function makeSecret(file: string): string {
  makeFolder(dirname(file));
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
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
  return readFileSync(file, 'utf8').trim();
}

/** A key of its own for each purpose (HKDF, RFC 5869), so that no two purposes share a key. */
export function deriveKey(secret: string, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, 'gatehouse', purpose, 32)));
}

/** The key of the access tokens: the bytes of `JWT_SECRET` itself, so that other services can check a token with it. */
export function accessTokenKey(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret));
}
