import { randomInt } from 'node:crypto';

/** Without characters that look alike, or that a shell or a double click would not take as part of the word. */
const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';
/** More than 116 bits; and long enough to be a passphrase, of which no classes of characters are asked. */
const LENGTH = 20;

export const generatePassword = (): string =>
  Array.from({ length: LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
