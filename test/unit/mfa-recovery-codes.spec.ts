import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { eitherProof, totpProof } from '../../src/auth/mfa/proof.js';
import { RecoveryCodes } from '../../src/auth/mfa/recovery-codes.js';
import { loadConfig } from '../../src/config/load-config.js';

const USER = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const OTHER = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a89';
const codesWith = (secret: string) =>
  new RecoveryCodes(loadConfig({ NODE_ENV: 'test', DATA_DIR: tmpdir(), JWT_SECRET: secret }));

describe('recovery codes', () => {
  const codes = codesWith('long enough and random: 0123456789abcdef');
  const set = codes.createSet();

  it('are ten of a hundred bits, without letters that look like digits', () => {
    expect(set).toHaveLength(10);
    expect(new Set(set).size).toBe(10);
    for (const code of set) expect(code).toMatch(/^[0-9a-hjkmnp-tv-z]{5}(-[0-9a-hjkmnp-tv-z]{5}){3}$/);
    const letters = new Set(Array.from({ length: 100 }, () => codes.createSet().join('')).join(''));
    letters.delete('-');
    expect(letters.size).toBe(32);
  });

  it('are the same however they are typed', () => {
    const stored = codes.hashOf(USER, 'abc01-k1m00-2pq3r-xyz98');
    expect(stored).toHaveLength(32);
    for (const typed of [
      'ABC01-K1M00-2PQ3R-XYZ98',
      'abc01k1m002pq3rxyz98',
      ' abc01 k1m00 2pq3r\txyz98\n',
      'abcOl-kim0o-2pq3r-xyz98',
      'abc01–k1m00—2pq3r‐xyz98',
    ])
      expect([typed, codes.hashOf(USER, typed)]).toEqual([typed, stored]);
  });

  it.each([
    '',
    '123456',
    'abc01-k1m00-2pq3r-xyz9',
    'abc01-k1m00-2pq3r-xyz988',
    'abc01-k1m00-2pq3r-xyz9u',
    'a'.repeat(9_999),
  ])('are nothing else: %.30j', (text) => expect(codes.hashOf(USER, text)).toBeNull());

  it('are stored under a key, for their user', () => {
    const [code] = set;
    const stored = codes.hashOf(USER, code);
    expect(codes.hashOf(OTHER, code)).not.toEqual(stored);
    expect(codesWith('another that is long enough: fedcba9876543210').hashOf(USER, code)).not.toEqual(stored);
    for (const text of [code, code.replace(/-/g, ''), `${USER}:${code.replace(/-/g, '')}`])
      expect(createHash('sha256').update(text).digest()).not.toEqual(stored);
  });
});

describe('a field that takes either', () => {
  it.each([
    ['123456', 'totp', '123456'],
    [' 123 456 ', 'totp', '123456'],
    ['1234567', 'recovery_code', '1234567'],
    ['abc01-k1m00-2pq3r-xyz98', 'recovery_code', 'abc01-k1m00-2pq3r-xyz98'],
    ['', 'recovery_code', ''],
  ])('%j is %s', (text, kind, code) => expect(eitherProof(text)).toEqual({ kind, code }));

  it('is not the field for codes of the app', () => {
    expect(totpProof('12 34 56').code).toBe('123456');
    expect(totpProof('abc').kind).toBe('totp');
  });
});
