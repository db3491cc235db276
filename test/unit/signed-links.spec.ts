import { createSecretKey } from 'node:crypto';
import { SignedLinks } from '../../src/uploads/downloads/signed-links.js';

const keyOf = (byte: number) => createSecretKey(Buffer.alloc(32, byte));
const links = new SignedLinks(keyOf(1));

const FILE = '0197c1a0-0000-7000-8000-000000000001';
const NOW = new Date('2026-01-01T12:00:00.000Z');
const EXPIRY = new Date('2026-01-01T13:00:00.000Z');

const queryOf = (expiresAt = EXPIRY) =>
  Object.fromEntries(links.sign(FILE, expiresAt)) as { expires: string; signature: string };

describe('SignedLinks', () => {
  it('makes a query of the expiry and an HMAC-SHA256', () => {
    expect(queryOf()).toEqual({ expires: '1767272400', signature: expect.stringMatching(/^[\w-]{43}$/) });
  });

  it('knows its own link again until it expires', () => {
    expect(links.verify(FILE, queryOf(), NOW)).toBe(true);
    expect(links.verify(FILE, queryOf(), new Date(EXPIRY.getTime() - 1))).toBe(true);
    expect(links.verify(FILE, queryOf(), EXPIRY)).toBe(false);
    expect(links.verify(FILE, queryOf(), new Date(EXPIRY.getTime() + 1))).toBe(false);
  });

  it('cuts off fractions of a second', () => {
    const query = queryOf(new Date(EXPIRY.getTime() + 999));
    expect(query.expires).toBe('1767272400');
    expect(links.verify(FILE, query, EXPIRY)).toBe(false);
  });

  it('knows it in any process with the same key, and in none with another', () => {
    expect(new SignedLinks(keyOf(1)).verify(FILE, queryOf(), NOW)).toBe(true);
    expect(new SignedLinks(keyOf(2)).verify(FILE, queryOf(), NOW)).toBe(false);
  });

  it('opens no other file, and for no longer', () => {
    const { expires, signature } = queryOf();
    expect(links.verify(FILE.replace(/1$/, '2'), { expires, signature }, NOW)).toBe(false);
    expect(links.verify(FILE, { expires: String(Number(expires) + 1), signature }, NOW)).toBe(false);
  });

  it('refuses a signature with any one character changed', () => {
    const { expires, signature } = queryOf();
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (let at = 0; at < signature.length; at++) {
      // The next letter, too, which in the last place differs in bits that stand for nothing.
      const next = alphabet[(alphabet.indexOf(signature[at]) + 1) % 64];
      const altered = signature.slice(0, at) + next + signature.slice(at + 1);
      expect(links.verify(FILE, { expires, signature: altered }, NOW)).toBe(false);
    }
  });

  const { expires, signature } = queryOf();
  it.each<[string, { expires?: unknown; signature?: unknown }]>([
    ['nothing', {}],
    ['no signature', { expires }],
    ['no expiry', { signature }],
    ['an empty signature', { expires, signature: '' }],
    ['a shorter signature', { expires, signature: signature.slice(1) }],
    ['a longer signature', { expires, signature: `${signature}A` }],
    ['a padded signature', { expires, signature: `${signature}=` }],
    ['a signature of as many characters but more bytes', { expires, signature: `${signature.slice(1)}é` }],
    ['a list of signatures', { expires, signature: [signature] }],
    ['a list of expiries', { expires: [expires], signature }],
    ['an expiry that is a number', { expires: Number(expires), signature }],
    ['an object', { expires: { toString: () => expires }, signature }],
    ['null', { expires: null, signature: null }],
  ])('refuses %s', (_title, query) => {
    expect(links.verify(FILE, query, NOW)).toBe(false);
  });

  it.each([
    '+1767272400',
    '01767272400',
    ' 1767272400',
    '1767272400 ',
    '1767272400.0',
    '1.7672724e9',
    '0x6956a3d0',
    '1767272400\n',
    '',
    '0',
    '-1',
  ])('takes no other spelling of the expiry: %j', (spelling) => {
    expect(links.verify(FILE, { expires: spelling, signature }, NOW)).toBe(false);
  });

  it('takes no number that is not canonical even under a signature of its own', () => {
    const distant = links.sign(FILE, new Date(8.64e15));
    expect(distant.get('expires')).toHaveLength(13);
    expect(links.verify(FILE, Object.fromEntries(distant), NOW)).toBe(false);
  });
});
