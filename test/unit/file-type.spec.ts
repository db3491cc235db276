import { variables } from '../../src/config/variables.js';
import { detectSignature, refuseEarly, resolveType, SIGNATURE_HEAD_BYTES } from '../../src/uploads/intake/file-type.js';
import { TextCheck } from '../../src/uploads/intake/text-check.js';
import { FileTypeMismatchError, FileTypeNotAllowedError } from '../../src/uploads/uploads.errors.js';
import { openXmlTypesLast, type SampleName, samples, zipOf } from '../support/samples.js';

const DEFAULT_LIST = String(variables.ALLOWED_FILE_TYPES.fallback).split(',');
const ALL = ['*'];

const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
const XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet';
const PPTX = 'application/vnd.openxmlformats-officedocument.presentationml.presentation';
const ODT = 'application/vnd.oasis.opendocument.text';
const ODS = 'application/vnd.oasis.opendocument.spreadsheet';
const ODP = 'application/vnd.oasis.opendocument.presentation';

const MISMATCH = 'mismatch';
const NOT_ALLOWED = 'not allowed';

/** The type that a file is stored as, or how it is refused. */
async function verdict(content: Buffer, filename: string, declared: string | undefined, allowed: readonly string[]) {
  const text = new TextCheck();
  text.add(content);
  const signature = await detectSignature(content);
  try {
    const isEmpty = content.length === 0;
    return resolveType({ declared, filename, signature, isText: text.isText(), isEmpty }, allowed);
  } catch (error) {
    if (error instanceof FileTypeMismatchError) return MISMATCH;
    if (error instanceof FileTypeNotAllowedError) return NOT_ALLOWED;
    throw error;
  }
}

type Case = [sample: SampleName, filename: string, declared: string | undefined, outcome: string];

const check =
  (allowed: readonly string[]) => async (sample: SampleName, filename: string, declared: any, outcome: string) =>
    expect(await verdict(samples[sample], filename, declared, allowed)).toBe(outcome);

const ALLOWED_FILES: Case[] = [
  ['png', 'a.png', 'image/png', 'image/png'],
  ['jpeg', 'a.jpg', 'image/jpeg', 'image/jpeg'],
  ['jpeg', 'a.JPEG', 'image/jpg', 'image/jpeg'],
  ['gif', 'a.gif', 'image/gif', 'image/gif'],
  ['webp', 'a.webp', 'image/webp', 'image/webp'],
  ['pdf', 'a.pdf', 'application/pdf', 'application/pdf'],
  ['asciiPdf', 'a.pdf', 'application/x-pdf', 'application/pdf'],
  ['zip', 'a.zip', 'application/zip', 'application/zip'],
  ['zip', 'a.zip', 'application/x-zip-compressed', 'application/zip'],
  ['emptyZip', 'a.zip', 'application/zip', 'application/zip'],
  ['docx', 'a.docx', DOCX, DOCX],
  ['xlsx', 'a.xlsx', XLSX, XLSX],
  ['pptx', 'a.pptx', PPTX, PPTX],
  ['odt', 'a.odt', ODT, ODT],
  ['ods', 'a.ods', ODS, ODS],
  ['odp', 'a.odp', ODP, ODP],
  ['compoundFile', 'a.doc', 'application/msword', 'application/msword'],
  ['compoundFile', 'a.xls', 'application/vnd.ms-excel', 'application/vnd.ms-excel'],
  ['compoundFile', 'a.ppt', 'application/vnd.ms-powerpoint', 'application/vnd.ms-powerpoint'],
  ['text', 'a.txt', 'text/plain; charset=utf-8', 'text/plain'],
  ['text', 'a.log', 'text/x-log', 'text/plain'],
  ['csv', 'a.csv', 'text/csv', 'text/csv'],
  ['markdown', 'a.md', 'text/markdown', 'text/markdown'],
  ['json', 'a.json', 'application/json', 'application/json'],
];

describe('the default list', () => {
  it.each(ALLOWED_FILES)('takes %s as %s declared %s', check(DEFAULT_LIST));

  it.each(ALLOWED_FILES)('takes %s as %s, whatever declares nothing', async (sample, filename, _declared, type) => {
    for (const declared of [undefined, '', 'application/octet-stream', 'binary/octet-stream', 'nonsense', 'text/plain'])
      expect(await verdict(samples[sample], filename, declared, DEFAULT_LIST)).toBe(type);
  });

  it.each(ALLOWED_FILES)(
    'takes %s by its declared type under a name that says nothing',
    async (sample, _name, declared, type) => {
      // text/plain is what a part means that declares nothing, so the content decides.
      expect(await verdict(samples[sample], 'upload', declared, DEFAULT_LIST)).toBe(type);
      expect(await verdict(samples[sample], 'upload.unknown-ext', declared, DEFAULT_LIST)).toBe(type);
    },
  );

  it.each<Case>([
    ['png', 'upload', undefined, 'image/png'],
    ['pdf', 'upload', undefined, 'application/pdf'],
    ['docx', 'upload', undefined, DOCX],
    ['text', 'README', undefined, 'text/plain'],
    ['html', 'README', undefined, 'text/plain'],
    ['compoundFile', 'upload', undefined, NOT_ALLOWED],
    ['binary', 'upload', undefined, NOT_ALLOWED],
    ['xml', 'upload', undefined, NOT_ALLOWED],
    ['exe', 'upload', undefined, NOT_ALLOWED],
    ['elf', 'upload', undefined, NOT_ALLOWED],
    ['gzip', 'upload', undefined, NOT_ALLOWED],
  ])('decides %s by its content when nothing is claimed (%s, %s): %s', check(DEFAULT_LIST));

  it.each<Case>([
    ['exe', 'setup.exe', 'application/x-msdownload', NOT_ALLOWED],
    ['exe', 'setup.exe', undefined, NOT_ALLOWED],
    ['exe', 'photo.png', 'image/png', MISMATCH],
    ['exe', 'report.pdf', undefined, MISMATCH],
    ['exe', 'notes.txt', 'text/plain', MISMATCH],
    ['exe', 'upload', 'image/png', MISMATCH],
    ['elf', 'photo.jpg', 'image/jpeg', MISMATCH],
    ['elf', 'data.csv', 'text/csv', MISMATCH],
    ['gzip', 'a.zip', 'application/zip', MISMATCH],
  ])('keeps programs out: %s as %s declared %s', check(DEFAULT_LIST));

  it.each<Case>([
    ['svg', 'evil.svg', 'image/svg+xml', NOT_ALLOWED],
    ['svg', 'evil.svg', 'image/png', NOT_ALLOWED],
    ['svg', 'evil.png', 'image/png', MISMATCH],
    ['svg', 'evil.png', 'image/svg+xml', MISMATCH],
    ['svg', 'upload', 'image/png', MISMATCH],
    ['svg', 'upload', 'image/svg+xml', NOT_ALLOWED],
    ['svgWithProlog', 'evil.txt', 'text/plain', MISMATCH],
    ['html', 'x.html', 'text/plain', NOT_ALLOWED],
    ['html', 'x.HTM', undefined, NOT_ALLOWED],
    ['html', 'x.html.', 'text/plain', NOT_ALLOWED],
    ['html', 'x.html .', 'text/plain', NOT_ALLOWED],
    ['html', '.html', 'text/plain', NOT_ALLOWED],
    ['html', 'x.xhtml', 'text/plain', NOT_ALLOWED],
    ['html', 'x.hta', 'text/plain', NOT_ALLOWED],
    ['html', 'x.svgz', 'text/plain', NOT_ALLOWED],
    ['html', 'x.pdf', 'application/pdf', MISMATCH],
    ['html', 'x.txt', 'text/html', MISMATCH],
    ['html', 'x', 'text/html', NOT_ALLOWED],
    ['xml', 'page.txt', 'text/plain', MISMATCH],
    ['xml', 'page.md', 'text/markdown', MISMATCH],
    ['xml', 'page.json', 'application/json', MISMATCH],
    ['xml', 'page.xml', 'text/xml', NOT_ALLOWED],
    ['xml', 'page.xml', 'text/plain', NOT_ALLOWED],
    ['text', 'run.js', 'text/javascript', NOT_ALLOWED],
    ['text', 'run.bat', 'text/plain', NOT_ALLOWED],
    ['text', 'run.cmd', 'text/plain', NOT_ALLOWED],
    ['text', 'run.vbs', undefined, NOT_ALLOWED],
    ['text', 'run.ps1', undefined, NOT_ALLOWED],
  ])('keeps documents with scripts and scripts out: %s as %s declared %s', check(DEFAULT_LIST));

  it.each<Case>([
    ['html', 'page.txt', 'text/plain', 'text/plain'],
    ['svg', 'picture.txt', 'text/plain', 'text/plain'],
    ['markdown', 'notes.txt', undefined, 'text/plain'],
    ['markdown', 'notes.md', 'text/plain', 'text/markdown'],
    ['markdown', 'notes.markdown', 'text/x-markdown', 'text/markdown'],
    ['csv', 'data.csv', 'application/vnd.ms-excel', 'text/csv'],
    ['csv', 'data.csv', 'text/plain', 'text/csv'],
    ['csv', 'data.csv', 'application/csv', 'text/csv'],
    ['csv', 'data.txt', 'text/csv', 'text/plain'],
    ['json', 'data.json', 'text/json', 'application/json'],
    ['json', 'data.json', 'text/javascript', 'application/json'],
    ['text', 'main.ts', 'video/mp2t', 'text/plain'],
    ['text', 'lib.rs', undefined, 'text/plain'],
    ['text', 'Dockerfile', 'application/octet-stream', 'text/plain'],
    ['csv', 'data.xls', 'application/vnd.ms-excel', MISMATCH],
    ['csv', 'data', 'application/vnd.ms-excel', MISMATCH],
    ['text', 'a.txt', 'application/vnd.ms-excel', MISMATCH],
    ['text', 'a.txt', 'image/png', MISMATCH],
    ['text', 'a.png', 'image/png', MISMATCH],
    ['text', 'a.pdf', 'application/pdf', MISMATCH],
    ['text', 'a.zip', 'application/zip', MISMATCH],
    ['text', 'a.docx', DOCX, MISMATCH],
    ['text', 'a.odt', undefined, MISMATCH],
    ['text', 'a.doc', undefined, MISMATCH],
    ['latin1', 'a.txt', 'text/plain', MISMATCH],
    ['binary', 'a.txt', 'text/plain', MISMATCH],
    ['binary', 'a.json', 'application/json', MISMATCH],
    ['binary', 'a.png', 'image/png', MISMATCH],
    ['binary', 'a.doc', 'application/msword', MISMATCH],
    ['pdf', 'a.txt', 'text/plain', MISMATCH],
    ['asciiPdf', 'a.txt', 'text/plain', MISMATCH],
  ])('texts stand for each other and for nothing else: %s as %s declared %s', check(DEFAULT_LIST));

  it.each<Case>([
    ['png', 'a.jpg', 'image/jpeg', MISMATCH],
    ['png', 'a.png', 'image/jpeg', MISMATCH],
    ['png', 'a.pdf', 'image/png', MISMATCH],
    ['png', 'a.docx', undefined, MISMATCH],
    ['jpeg', 'a.gif', 'image/gif', MISMATCH],
    ['gif', 'a.webp', undefined, MISMATCH],
    ['webp', 'a.png', undefined, MISMATCH],
    ['pdf', 'a.png', undefined, MISMATCH],
    ['apng', 'a.png', 'image/png', 'image/png'],
    ['apng', 'a.apng', 'image/apng', NOT_ALLOWED],
  ])('an image or PDF is what its signature says: %s as %s declared %s', check(DEFAULT_LIST));

  it.each<Case>([
    ['docx', 'a.zip', 'application/zip', 'application/zip'],
    ['docx', 'a.docx', 'application/zip', DOCX],
    ['docx', 'upload', 'application/x-zip-compressed', 'application/zip'],
    ['odt', 'a.zip', undefined, 'application/zip'],
    ['jar', 'a.zip', 'application/zip', 'application/zip'],
    ['jar', 'a.jar', 'application/java-archive', NOT_ALLOWED],
    ['jar', 'a.docx', DOCX, MISMATCH],
    ['zip', 'a.docx', DOCX, MISMATCH],
    ['zip', 'a.xlsx', undefined, MISMATCH],
    ['zip', 'a.odt', ODT, MISMATCH],
    ['zip', 'upload', PPTX, MISMATCH],
    ['docx', 'a.xlsx', XLSX, MISMATCH],
    ['docx', 'a.docx', XLSX, MISMATCH],
    ['odt', 'a.ods', undefined, MISMATCH],
    ['odt', 'a.docx', undefined, MISMATCH],
    ['docx', 'a.doc', 'application/msword', MISMATCH],
    ['compoundFile', 'a.docx', DOCX, MISMATCH],
    ['compoundFile', 'a.xls', 'application/msword', MISMATCH],
    ['compoundFile', 'upload', 'application/msword', 'application/msword'],
    ['compoundFile', 'a.zip', undefined, MISMATCH],
    ['compoundFile', 'a.msi', undefined, NOT_ALLOWED],
    ['zip', 'a.pdf', undefined, MISMATCH],
  ])('an archive is the document that its entries say: %s as %s declared %s', check(DEFAULT_LIST));

  it.each<Case>([
    ['empty', 'a.txt', undefined, 'text/plain'],
    ['empty', 'a.png', 'image/png', 'image/png'],
    ['empty', 'upload', 'application/pdf', 'application/pdf'],
    ['empty', 'upload', undefined, 'text/plain'],
    ['empty', 'a.html', 'text/plain', NOT_ALLOWED],
    ['empty', 'a.exe', undefined, NOT_ALLOWED],
  ])('an empty file is what it claims: %s as %s declared %s', check(DEFAULT_LIST));

  it.each([
    ['BMI,weight\n', 'data.csv', 'text/csv'],
    ['MZ is a prefix\n', 'notes.txt', 'text/plain'],
    ['FORM,NAME\n', 'forms.csv', 'text/csv'],
    ['The free market\n', 'essay.md', 'text/markdown'],
    ['GIFs are fun\n', 'notes.txt', 'text/plain'],
    ['solid state drives\n', 'README', 'text/plain'],
    ['BEGIN:VCARD\n', 'contact.txt', 'text/plain'],
  ])('a text may begin with the letters of a signature: %j', async (content, filename, type) => {
    expect(await detectSignature(Buffer.from(content))).not.toBeNull();
    expect(await verdict(Buffer.from(content), filename, undefined, DEFAULT_LIST)).toBe(type);
  });

  it('takes a text with a byte order mark, and finds XML behind one', async () => {
    const marked = (content: Buffer) => Buffer.concat([Buffer.from('\ufeff'), content]);
    expect(await verdict(marked(samples.csv), 'a.csv', 'text/csv', DEFAULT_LIST)).toBe('text/csv');
    expect(await verdict(marked(samples.xml), 'a.txt', 'text/plain', DEFAULT_LIST)).toBe(MISMATCH);
  });

  it.each([
    ['docx', DOCX],
    ['xlsx', XLSX],
    ['pptx', PPTX],
  ] as const)('takes a %s whose list of types is behind everything else', async (kind, type) => {
    for (const imageBytes of [0, 2 * SIGNATURE_HEAD_BYTES]) {
      const content = openXmlTypesLast(kind, imageBytes);
      expect(await verdict(content, `a.${kind}`, type, DEFAULT_LIST)).toBe(type);
      expect(await verdict(content, 'a.zip', 'application/zip', DEFAULT_LIST)).toBe('application/zip');
      expect(await verdict(content, 'a.odt', ODT, DEFAULT_LIST)).toBe(MISMATCH);
      expect(await verdict(content, 'a.jar', undefined, ALL)).toBe(MISMATCH);
    }
    expect(await verdict(openXmlTypesLast(kind, 2 * SIGNATURE_HEAD_BYTES), 'a', undefined, DEFAULT_LIST)).toBe(
      'application/zip',
    );
  });

  it('takes no archive for an office document because one lies inside', async () => {
    const outer = zipOf([['letter.docx', openXmlTypesLast('docx', SIGNATURE_HEAD_BYTES)]]);
    expect(await verdict(outer, 'a.docx', DOCX, DEFAULT_LIST)).toBe(MISMATCH);
    expect(await verdict(outer, 'a.zip', undefined, DEFAULT_LIST)).toBe('application/zip');
  });
});

describe('the list *', () => {
  it.each<Case>([
    ['html', 'x.html', 'text/html', 'text/html'],
    ['html', 'x.html', 'text/plain', 'text/html'],
    ['svg', 'x.svg', 'image/svg+xml', 'image/svg+xml'],
    ['svgWithProlog', 'x.svg', 'image/svg+xml', 'image/svg+xml'],
    ['svgWithProlog', 'x.svg', 'text/xml', 'image/svg+xml'],
    ['xml', 'x.xml', 'text/xml', 'application/xml'],
    ['xml', 'x.xml', 'application/xml', 'application/xml'],
    ['xml', 'x', undefined, 'application/xml'],
    ['exe', 'x.exe', 'application/x-msdos-program', 'application/x-msdownload'],
    ['elf', 'x', undefined, 'application/x-elf'],
    ['binary', 'x', undefined, 'application/octet-stream'],
    ['binary', 'x.bin', 'application/octet-stream', 'application/octet-stream'],
    ['binary', 'x', 'application/x-custom', 'application/x-custom'],
    ['binary', 'x', 'constructor', 'application/octet-stream'],
    ['binary', 'x', `application/${'x'.repeat(127)}`, 'application/octet-stream'],
    ['compoundFile', 'x', undefined, 'application/x-cfb'],
    ['compoundFile', 'x.msi', undefined, 'application/x-msi'],
    ['jar', 'x.jar', 'application/java-archive', 'application/java-archive'],
    ['zip', 'x.jar', undefined, 'application/java-archive'],
    ['zip', 'x.pages', undefined, 'application/vnd.apple.pages'],
    ['gzip', 'x.gz', 'application/x-gzip', 'application/gzip'],
    ['postscript', 'x.ps', 'application/postscript', 'application/postscript'],
    ['text', 'x.ps', 'application/postscript', MISMATCH],
    ['text', 'x.ts', undefined, 'text/plain'],
    ['text', 'x.mp4', 'video/mp4', MISMATCH],
    ['exe', 'x.png', 'image/png', MISMATCH],
    ['svg', 'x.svg', 'image/png', MISMATCH],
    ['zip', 'x.docx', DOCX, MISMATCH],
    ['xml', 'x.txt', 'text/plain', MISMATCH],
  ])('takes every type that is what it claims to be: %s as %s declared %s', check(ALL));
});

describe('the list image/*', () => {
  it.each<Case>([
    ['png', 'a.png', 'image/png', 'image/png'],
    ['apng', 'a.apng', undefined, 'image/apng'],
    ['tiff', 'a.tif', 'image/tiff', 'image/tiff'],
    ['svg', 'a.svg', 'image/svg+xml', 'image/svg+xml'],
    ['pdf', 'a.pdf', 'application/pdf', NOT_ALLOWED],
    ['text', 'a', undefined, NOT_ALLOWED],
    ['pdf', 'a.png', 'image/png', MISMATCH],
  ])('takes images only: %s as %s declared %s', check(['image/*']));

  it('takes a TIFF image whose directory is beyond the head', async () => {
    const directoryAtEnd = Buffer.concat([
      Buffer.from('49492a0000000010', 'hex'),
      Buffer.alloc(SIGNATURE_HEAD_BYTES, 7),
    ]);
    expect(await verdict(directoryAtEnd, 'scan.tif', 'image/tiff', ['image/*'])).toBe('image/tiff');
  });
});

it('a list may name a type by another of its names', async () => {
  expect(await verdict(samples.jpeg, 'a.jpg', 'image/jpeg', ['image/jpg'])).toBe('image/jpeg');
});

describe('detectSignature', () => {
  it('finds nothing in bytes without a signature', async () => {
    for (const content of [samples.empty, samples.text, samples.latin1, samples.binary, Buffer.from('P')])
      expect(await detectSignature(content)).toBeNull();
  });

  it('fails on no sample that is cut off', async () => {
    for (const sample of Object.values(samples)) {
      for (let length = 0; length < Math.min(sample.length, 200); length++)
        await expect(detectSignature(sample.subarray(0, length))).resolves.toBeDefined();
    }
  });

  it('looks no further than the head', async () => {
    const late = Buffer.concat([Buffer.alloc(SIGNATURE_HEAD_BYTES, ' '), samples.png]);
    expect(await detectSignature(late)).toBeNull();
  });
});

describe('refuseEarly', () => {
  it.each([
    ['image/svg+xml', 'x', true],
    [undefined, 'x.exe', true],
    ['text/plain', 'x.html', true],
    ['image/png', 'x.svg', true],
    ['image/png', 'x.png', false],
    ['image/svg+xml', 'x.png', false],
    ['video/mp2t', 'x.ts', false],
    [undefined, 'x', false],
    ['application/octet-stream', 'x.bin', false],
  ])('declared %s, named %s: refused %s', (declared, filename, isRefused) => {
    const attempt = () => refuseEarly(declared, filename, DEFAULT_LIST);
    if (isRefused) expect(attempt).toThrow(FileTypeNotAllowedError);
    else expect(attempt).not.toThrow();
  });

  it('refuses nothing that some content would make acceptable', async () => {
    const names = [
      'x',
      'x.png',
      'x.svg',
      'x.html',
      'x.txt',
      'x.csv',
      'x.docx',
      'x.xls',
      'x.zip',
      'x.jar',
      'x.ts',
      'x.exe',
    ];
    const types = [undefined, 'image/png', 'image/svg+xml', 'text/html', 'text/plain', 'application/zip', DOCX];
    for (const filename of names) {
      for (const declared of types) {
        const verdicts = await Promise.all(
          Object.values(samples).map((sample) => verdict(sample, filename, declared, DEFAULT_LIST)),
        );
        const isStored = verdicts.some((outcome) => outcome !== MISMATCH && outcome !== NOT_ALLOWED);
        if (isStored) expect(() => refuseEarly(declared, filename, DEFAULT_LIST)).not.toThrow();
      }
    }
  });
});
