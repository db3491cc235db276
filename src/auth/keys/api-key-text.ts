import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { parse, stringify } from 'uuid';

const PREFIX = 'gh_';
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const BASE = BigInt(ALPHABET.length);
const ID_LENGTH = 22;
const SECRET_LENGTH = 43;
const CHECKSUM_LENGTH = 6;
const SECRET_BYTES = 32;
const ID_MAX = 1n << 128n;

const KEY = new RegExp(
  `^${PREFIX}([0-9A-Za-z]{${ID_LENGTH}})_([0-9A-Za-z]{${SECRET_LENGTH}})([0-9A-Za-z]{${CHECKSUM_LENGTH}})$`,
);

/** What a key says before anybody has looked it up. */
export interface ApiKeyParts {
  readonly id: string;
  readonly secretHash: Buffer;
}

/**
 * An API key as text: `gh_<id>_<secret><checksum>`, all in base 62. The checksum (CRC-32 of what comes before it) lets a secret scanner
 * tell a key from something that looks like one, and a typing error from a guess; it is no proof of anything.
 */
export function newApiKey(id: string): { key: string; secretHash: Buffer } {
  const body = `${prefixOf(id)}_${toBase62(randomBytes(SECRET_BYTES), SECRET_LENGTH)}`;
  const key = body + checksumOf(body);
  return { key, secretHash: hashOf(secretIn(key)) };
}

/** The part of a key that is no secret: it names the key in lists. */
export const prefixOf = (id: string): string => PREFIX + toBase62(parse(id), ID_LENGTH);

export const looksLikeApiKey = (text: string): boolean => text.startsWith(PREFIX);

/** `null` for what is no key of ours. */
export function readApiKey(text: string): ApiKeyParts | null {
  const match = KEY.exec(text);
  if (!match || checksumOf(text.slice(0, -CHECKSUM_LENGTH)) !== match[3]) return null;
  const id = fromBase62(match[1]);
  return id < ID_MAX ? { id: toUuid(id), secretHash: hashOf(match[2]) } : null;
}

const secretIn = (key: string) => key.slice(PREFIX.length + ID_LENGTH + 1, -CHECKSUM_LENGTH);
/** A plain hash is enough for 256 random bits: nobody can try them. */
const hashOf = (secret: string) => createHash('sha256').update(secret).digest();

function checksumOf(body: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return toBase62(bytes, CHECKSUM_LENGTH);
}

function toBase62(bytes: Uint8Array, length: number): string {
  let number = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (let at = 0; at < length; at++) {
    text = ALPHABET[Number(number % BASE)] + text;
    number /= BASE;
  }
  return text;
}

const fromBase62 = (text: string) =>
  [...text].reduce((number, digit) => number * BASE + BigInt(ALPHABET.indexOf(digit)), 0n);

const toUuid = (id: bigint) => stringify(Buffer.from(id.toString(16).padStart(32, '0'), 'hex'));
