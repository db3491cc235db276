import { parse } from 'content-disposition';
import fc from 'fast-check';
import { attachment } from '../../src/uploads/downloads/content-disposition.js';

describe('attachment', () => {
  it.each([
    ['report.pdf', "attachment; filename=report.pdf; filename*=UTF-8''report.pdf"],
    ['my report.pdf', 'attachment; filename="my report.pdf"; filename*=UTF-8\'\'my%20report.pdf'],
    ['Grüße.txt', "attachment; filename=Gr__e.txt; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt"],
    ['🎉.png', "attachment; filename=_.png; filename*=UTF-8''%F0%9F%8E%89.png"],
    ['a"b\\c.txt', "attachment; filename=a_b_c.txt; filename*=UTF-8''a%22b%5Cc.txt"],
    ['50%41.txt', "attachment; filename=50_41.txt; filename*=UTF-8''50%2541.txt"],
    ['a;b=c.txt', 'attachment; filename="a;b=c.txt"; filename*=UTF-8\'\'a%3Bb%3Dc.txt'],
    ["it's (1)*.txt", "attachment; filename=\"it's (1)*.txt\"; filename*=UTF-8''it%27s%20%281%29%2A.txt"],
    [
      'x\r\nSet-Cookie: a=b',
      'attachment; filename="x__Set-Cookie: a=b"; filename*=UTF-8\'\'x%0D%0ASet-Cookie%3A%20a%3Db',
    ],
  ])('%j goes out in both forms', (name, header) => {
    expect(attachment(name)).toBe(header);
  });

  it('survives half a surrogate pair', () => {
    expect(parse(attachment('a\ud800.txt')).parameters.filename).toBe('a\ufffd.txt');
  });

  it('is for every name one line of ASCII, an attachment, and reads back as the name', () => {
    const names = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...'\r\n"\\;=%\'*é/ a') }));
    fc.assert(
      fc.property(names, (name) => {
        const header = attachment(name);
        expect(header).toMatch(/^attachment; filename=[\x20-\x7e]*; filename\*=UTF-8''[\x21-\x7e]*$/);
        const { type, parameters } = parse(header);
        expect(type).toBe('attachment');
        expect(parameters.filename).toBe(name.toWellFormed());
        expect(Object.keys(parameters).sort()).toEqual(['filename', 'filename*']);
      }),
      { numRuns: 2_000 },
    );
  });
});
