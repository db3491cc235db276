import { tmpdir } from 'node:os';
import { Secret, TOTP } from 'otpauth';
import { Totp, UnreadableSecretError } from '../../src/auth/mfa/totp.js';
import { loadConfig } from '../../src/config/load-config.js';

const USER = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const OTHER = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a89';
const RFC_SECRET = Buffer.from('12345678901234567890');
const STEP_SECONDS = 30;

const totpWith = (secret = 'long enough and random: 0123456789abcdef', productName?: string) =>
  new Totp(loadConfig({ NODE_ENV: 'test', DATA_DIR: tmpdir(), JWT_SECRET: secret, PRODUCT_NAME: productName }));
const at = (seconds: number) => new Date(seconds * 1000);

describe('codes of authenticator apps', () => {
  const totp = totpWith();
  const sealed = totp.seal(RFC_SECRET, USER);

  it.each([
    [59, '287082'],
    [1111111109, '081804'],
    [1111111111, '050471'],
    [1234567890, '005924'],
    [2000000000, '279037'],
    [20000000000, '353130'],
  ])('are those of RFC 6238, appendix B, at %d', (seconds, code) => {
    expect(totp.stepOf(code, sealed, USER, at(seconds))).toBe(Math.floor(seconds / STEP_SECONDS));
  });

  it('are good for one step to either side, and name the step that they are of', () => {
    const step = Math.floor(1111111111 / STEP_SECONDS);
    const stepsFound = [-2, -1, 0, 1, 2].map((away) =>
      totp.stepOf('050471', sealed, USER, at((step + away) * STEP_SECONDS)),
    );
    expect(stepsFound).toEqual([null, step, step, step, null]);
    expect(totp.stepOf('050471', sealed, USER, at((step + 2) * STEP_SECONDS - 0.001))).toBe(step);
    expect(totp.stepOf('050471', sealed, USER, at((step - 1) * STEP_SECONDS - 0.001))).toBeNull();
  });

  it.each(['', '0', '50471', '0504710', '050472', 'abcdef', '٠٥٠٤٧١', '-50471', '5.0471', '050471\n'])(
    'are nothing else: %j',
    (code) => expect(totp.stepOf(code, sealed, USER, at(1111111111))).toBeNull(),
  );

  it('are those that an app makes of the URI, whose names may hold anything', () => {
    const { uri, secret, sealed } = totpWith(undefined, 'A: b/c?d&e=漢').create({ id: USER, email: 'o+a@example.com' });
    expect(new URL(uri).searchParams.get('issuer')).toBe('A: b/c?d&e=漢');
    expect(decodeURIComponent(new URL(uri).pathname)).toMatch(/A: b\/c\?d&e=漢:o\+a@example\.com$/);
    expect(Secret.fromBase32(secret).bytes).toHaveLength(20);
    expect(Object.fromEntries(new URL(uri).searchParams)).toMatchObject({
      secret,
      algorithm: 'SHA1',
      digits: '6',
      period: '30',
    });
    const app = new TOTP({ secret });
    expect(totp.stepOf(app.generate({ timestamp: 0 }), sealed, USER, at(0))).toBe(0);
  });
});

describe('a stored secret', () => {
  const totp = totpWith();
  const sealed = totp.seal(RFC_SECRET, USER);
  const read = (bytes: Buffer, userId = USER, by = totp) => by.stepOf('287082', bytes, userId, at(59));

  it('is encrypted, each time otherwise', () => {
    expect(sealed.includes(RFC_SECRET)).toBe(false);
    expect(sealed).toHaveLength(12 + 20 + 16);
    expect(totp.seal(RFC_SECRET, USER)).not.toEqual(sealed);
    expect(read(sealed)).toBe(1);
  });

  it('is of no use to another user, by another key, or altered in any byte', () => {
    expect(() => read(sealed, OTHER)).toThrow(UnreadableSecretError);
    expect(() => read(sealed, USER, totpWith('another that is long enough: fedcba9876543210'))).toThrow(/JWT_SECRET/);
    for (let byte = 0; byte < sealed.length; byte++) {
      const altered = Buffer.from(sealed);
      altered[byte] ^= 1;
      expect(() => read(altered)).toThrow(UnreadableSecretError);
    }
    for (const length of [0, 11, 12, 28, sealed.length - 1])
      expect(() => read(sealed.subarray(0, length))).toThrow(UnreadableSecretError);
  });
});
