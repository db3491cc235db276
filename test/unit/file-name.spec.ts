import fc from 'fast-check';
import { fromFormName, toDisplayName } from '../../src/uploads/intake/file-name.js';

describe('toDisplayName', () => {
  it.each([
    ['report.pdf', 'report.pdf'],
    ['Grüße 日本語 🎉.txt', 'Grüße 日本語 🎉.txt'],
    ['.env', '.env'],
    ['a..b', 'a..b'],
    ['100%.txt', '100%.txt'],
    ['a%20b%41.txt', 'a%20b%41.txt'],
  ])('leaves %j as it is', (given, name) => {
    expect(toDisplayName(given)).toBe(name);
  });

  it.each([
    ['../../etc/passwd', 'passwd'],
    ['..\\..\\boot.ini', 'boot.ini'],
    ['/etc/passwd', 'passwd'],
    ['C:\\Users\\me\\photo.png', 'photo.png'],
    ['C:photo.png', 'photo.png'],
    ['C:D:photo.png', 'photo.png'],
    [' C:photo.png', 'photo.png'],
    ['C:/mixed\\separators/photo.png', 'photo.png'],
    ['\\\\server\\share\\photo.png', 'photo.png'],
  ])('takes the path out of %j', (given, name) => {
    expect(toDisplayName(given)).toBe(name);
  });

  it.each([
    ['a\0.png', 'a.png'],
    ['a\r\nSet-Cookie: x.png', 'aSet-Cookie: x.png'],
    ['a\u2028b\u2029.txt', 'ab.txt'],
    ['invoice\u202efdp.exe', 'invoicefdp.exe'],
    ['\u2066a\u2069\u200e\u200f\u061c.txt', 'a.txt'],
    ['a\ud800b\udc00.txt', 'ab.txt'],
    ['\u0085\u007fa.txt', 'a.txt'],
    ['.\u202e./a', 'a'],
  ])('takes what nobody sees out of %j', (given, name) => {
    expect(toDisplayName(given)).toBe(name);
  });

  it.each([
    ['a%22b.txt', 'a"b.txt'],
    ['a%0D%0Ab.txt', 'ab.txt'],
  ])('reads what browsers escape in %j, when it comes in a form', (given, name) => {
    expect(toDisplayName(fromFormName(given))).toBe(name);
    expect(toDisplayName(given)).toBe(given);
  });

  it.each([
    undefined,
    '',
    ' ',
    '.',
    '..',
    '...',
    ' .. ',
    '/',
    'folder/',
    'C:',
    'C:\\',
    '\0',
    '\u202e',
    '..\\..',
    'a/..',
  ])('calls %j a file', (given) => {
    expect(toDisplayName(given)).toBe('file');
  });

  it('takes surrounding whitespace away', () => {
    expect(toDisplayName('\u00a0 my file.txt\t ')).toBe('my file.txt');
  });

  it('writes the same letters in one way (NFC)', () => {
    expect(toDisplayName('Cafe\u0301.txt')).toBe('Caf\u00e9.txt');
  });

  it.each([
    ['a'.repeat(10_000) + '.pdf', 'a'.repeat(251) + '.pdf'],
    ['🎉'.repeat(300) + '.jpeg', '🎉'.repeat(250) + '.jpeg'],
    ['a'.repeat(300), 'a'.repeat(255)],
    ['a'.repeat(300) + '.' + 'b'.repeat(31), 'a'.repeat(223) + '.' + 'b'.repeat(31)],
    ['a'.repeat(300) + '.' + 'b'.repeat(32), 'a'.repeat(255)],
    ['a'.repeat(300) + '.not an extension', 'a'.repeat(255)],
    ['a'.repeat(255), 'a'.repeat(255)],
  ])('cuts to 255 characters and keeps an extension (case %#)', (given, name) => {
    expect(toDisplayName(given)).toBe(name);
  });

  it('is for every text one visible line without a path', () => {
    const nasty = fc.constantFrom(
      ...'/\\.: \0\r\n\t"%C',
      '%22',
      '\u202e',
      '\u2028',
      '\ud800',
      '\udc00',
      'e\u0301',
      '🎉',
      '..',
    );
    const names = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(nasty, { maxLength: 20 }).map((parts) => parts.join('')),
      fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 400 }).map((units) => String.fromCharCode(...units)),
    );
    fc.assert(
      fc.property(names, (given) => {
        const name = toDisplayName(given);
        expect(name).not.toMatch(/[/\\\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u);
        expect(name).not.toMatch(/^(\.*|[A-Za-z]:.*)$/);
        expect(name).toBe(name.trim().normalize('NFC'));
        expect([...name].length).toBeLessThanOrEqual(255);
      }),
      { numRuns: 2_000 },
    );
  });
});
