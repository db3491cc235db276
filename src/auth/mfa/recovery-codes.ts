import { createHmac, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../config/app-config.js';

/** Of Crockford's base 32: no letter that looks like a digit. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const LOOK_ALIKES: Record<string, string> = { o: '0', i: '1', l: '1' };
/** 100 bits. */
const GROUPS = 4;
const GROUP_LENGTH = 5;
const CODE = new RegExp(`^[${ALPHABET}]{${GROUPS * GROUP_LENGTH}}$`);
const COUNT = 10;

/**
 * What lets somebody in who has lost the authenticator app, each code once. They are stored as HMAC-SHA-256 under a key that is not in the
 * database, so that a copy of it is nothing to try guesses on.
 */
@Injectable()
export class RecoveryCodes {
  private readonly key: KeyObject;

  constructor({ secondFactor }: AppConfig) {
    this.key = createSecretKey(Buffer.from(hkdfSync('sha256', secondFactor.key, '', 'recovery-codes', 32)));
  }

  createSet(): string[] {
    return Array.from({ length: COUNT }, createCode);
  }

  /** Case, dashes and blanks do not matter; `null` for what is no code at all. */
  hashOf(userId: string, text: string): Buffer | null {
    const code = text
      .toLowerCase()
      .replace(/[\s\p{Pd}]/gu, '')
      .replace(/[oil]/g, (letter) => LOOK_ALIKES[letter]);
    if (!CODE.test(code)) return null;
    return createHmac('sha256', this.key).update(`${userId}:${code}`).digest();
  }
}

/** 32 divides 256, so every letter is as likely as any other. */
function createCode(): string {
  const letters = Array.from(randomBytes(GROUPS * GROUP_LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]);
  return Array.from({ length: GROUPS }, (_, group) =>
    letters.slice(group * GROUP_LENGTH, (group + 1) * GROUP_LENGTH).join(''),
  ).join('-');
}
