import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import { TextCheck } from '../../src/uploads/intake/text-check.js';

function checkOf(...chunks: (Buffer | string)[]): TextCheck {
  const check = new TextCheck();
  for (const chunk of chunks) check.add(Buffer.from(chunk));
  return check;
}

const hex = (text: string) => Buffer.from(text, 'hex');

describe('TextCheck', () => {
  it.each([
    ['nothing at all', []],
    ['empty chunks', ['', '']],
    ['ASCII', ['one\n', 'two\n']],
    ['UTF-8', ['Grüße, 日本語, 🎉']],
    ['a byte order mark', [hex('efbbbf'), 'text']],
    ['a byte order mark in pieces', [hex('ef'), hex('bb'), hex('bf'), 'text']],
    ['a character of four bytes in pieces', [hex('f0'), hex('9f8e'), hex('89')]],
  ])('takes %s for text', (_title, chunks) => {
    expect(checkOf(...chunks).isText()).toBe(true);
  });

  it.each([
    ['NUL', ['one\0two']],
    ['NUL right behind a character in pieces', [hex('c3'), hex('a400')]],
    ['Latin-1', [hex('4772fcdf65')]],
    ['UTF-16', [Buffer.from('\ufefftext', 'utf16le')]],
    ['a half of a surrogate pair', [hex('eda080')]],
    ['an overlong form', [hex('c0af')]],
    ['a character beyond Unicode', [hex('f4908080')]],
    ['a continuation that nothing began', [hex('80')]],
    ['another character where a continuation belongs', [hex('e2'), 'A', hex('ac')]],
    ['a fault in an earlier chunk', [hex('ff'), 'all is well']],
  ])('does not take %s for text', (_title, chunks) => {
    expect(checkOf(...chunks).isText()).toBe(false);
  });

  it('waits for the end of a character: it could be text, and is not when nothing follows', () => {
    const check = checkOf('ä', hex('e282'));
    expect([check.couldBeText, check.isText()]).toEqual([true, false]);
    check.add(hex('ac'));
    expect([check.couldBeText, check.isText()]).toEqual([true, true]);
    check.add(hex('ff'));
    expect([check.couldBeText, check.isText()]).toEqual([false, false]);
  });

  it('keeps its own copy of an unfinished character', () => {
    const check = new TextCheck();
    const chunk = hex('61e282');
    check.add(chunk);
    chunk.fill(0xff);
    check.add(hex('ac'));
    expect(check.isText()).toBe(true);
  });

  it('says of every chunking what holds for the whole', () => {
    const pieces = fc.oneof(
      { weight: 6, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }).map((text) => Buffer.from(text)) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)) },
    );
    const wholes = fc.array(pieces, { maxLength: 6 }).map((parts) => Buffer.concat(parts));
    const cuts = fc.array(fc.nat(40), { maxLength: 12 });
    let texts = 0;
    fc.assert(
      fc.property(wholes, cuts, (whole, at) => {
        const ends = [...at, whole.length].map((end) => Math.min(end, whole.length)).sort((a, b) => a - b);
        const chunks = ends.map((end, i) => whole.subarray(i === 0 ? 0 : ends[i - 1], end));
        const isText = isUtf8(whole) && !whole.includes(0);
        if (isText) texts++;
        expect(checkOf(...chunks).isText()).toBe(isText);
      }),
      { numRuns: 5_000 },
    );
    // Both answers have to be among the samples.
    expect(texts).toBeGreaterThan(500);
    expect(texts).toBeLessThan(4_500);
  });
});
