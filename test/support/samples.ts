import { crc32 } from 'node:zlib';

/** The smallest files of each type that a program would write. */

const bytes = (hex: string) => Buffer.from(hex.replace(/\s/g, ''), 'hex');

const uint16 = (value: number) => Buffer.from([value & 0xff, value >> 8]);

function uint32(value: number): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32LE(value);
  return four;
}

type ZipEntry = readonly [name: string, content: string | Buffer];

/** A zip archive with its entries stored, in this order. */
export function zipOf(entries: readonly ZipEntry[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of entries) {
    const data = Buffer.from(content);
    const sizes = [uint32(crc32(data)), uint32(data.length), uint32(data.length), uint16(Buffer.byteLength(name))];
    const versionToDate = [uint16(20), uint16(0), uint16(0), uint16(0), uint16(0x21)];
    const file = Buffer.concat([
      Buffer.from('PK\x03\x04'),
      ...versionToDate,
      ...sizes,
      uint16(0),
      Buffer.from(name),
      data,
    ]);
    directory.push(Buffer.from('PK\x01\x02'), uint16(20), ...versionToDate, ...sizes, Buffer.alloc(12));
    directory.push(uint32(offset), Buffer.from(name));
    files.push(file);
    offset += file.length;
  }
  const count = uint16(entries.length);
  const end = [Buffer.from('PK\x05\x06'), uint32(0), count, count];
  const size = uint32(Buffer.concat(directory).length);
  return Buffer.concat([...files, ...directory, ...end, size, uint32(offset), uint16(0)]);
}

const OPEN_XML = {
  docx: ['word/document.xml', 'application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml'],
  xlsx: ['xl/workbook.xml', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml'],
  pptx: ['ppt/presentation.xml', 'application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml'],
} as const;

function openXmlParts(kind: keyof typeof OPEN_XML): { contentTypes: ZipEntry; relations: ZipEntry; main: ZipEntry } {
  const [part, type] = OPEN_XML[kind];
  const types = `<?xml version="1.0"?><Types><Override PartName="/${part}" ContentType="${type}"/></Types>`;
  return {
    contentTypes: ['[Content_Types].xml', types],
    relations: ['_rels/.rels', `<?xml version="1.0"?><Relationships><Relationship Target="${part}"/></Relationships>`],
    main: [part, '<?xml version="1.0"?><root/>'],
  };
}

/** As Microsoft Office writes it: `[Content_Types].xml` first. */
export function openXml(kind: keyof typeof OPEN_XML): Buffer {
  const { contentTypes, relations, main } = openXmlParts(kind);
  return zipOf([contentTypes, relations, main]);
}

/** As LibreOffice and openpyxl write it: `[Content_Types].xml` last, here behind an image of `imageBytes`. */
export function openXmlTypesLast(kind: keyof typeof OPEN_XML, imageBytes = 0): Buffer {
  const { contentTypes, relations, main } = openXmlParts(kind);
  const folder = main[0].split('/')[0];
  return zipOf([relations, main, [`${folder}/media/image1.png`, Buffer.alloc(imageBytes, 1)], contentTypes]);
}

/** `mimetype` comes first, as OpenDocument 1.3, part 2, 3.3 demands. */
export const openDocument = (kind: 'text' | 'spreadsheet' | 'presentation'): Buffer =>
  zipOf([
    ['mimetype', `application/vnd.oasis.opendocument.${kind}`],
    ['content.xml', '<?xml version="1.0"?><office:document-content/>'],
    ['META-INF/manifest.xml', '<?xml version="1.0"?><manifest:manifest/>'],
  ]);

export const samples = {
  png: bytes(
    `89504e470d0a1a0a 0000000d49484452 00000001000000010804000000b51c0c02
     0000000b49444154 78da6364f80f00010501012718e366 0000000049454e44ae426082`,
  ),
  apng: bytes(
    `89504e470d0a1a0a 0000000d49484452 00000001000000010804000000b51c0c02
     000000086163544c 0000000100000000b92d6d88 0000000b49444154 78da6364f80f00010501012718e366`,
  ),
  jpeg: bytes('ffd8ffe000104a46494600010100000100010000 ffdb004300 ffd9'),
  gif: bytes('474946383961 0100010080000000000000ffffff 2c00000000010001000002024401003b'),
  webp: bytes('52494646 1a000000 57454250 5650384c 0d0000002f0000001007101111888808fe0700'),
  tiff: bytes('49492a00 08000000 0100 000103000100000001000000 00000000'),
  pdf: Buffer.from('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n', 'latin1'),
  asciiPdf: Buffer.from('%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n'),
  postscript: Buffer.from('%!PS-Adobe-3.0\nshowpage\n'),
  zip: zipOf([
    ['notes.txt', 'Some notes'],
    ['photos/one.png', 'not looked at'],
  ]),
  emptyZip: bytes(`504b0506 ${'00'.repeat(18)}`),
  jar: zipOf([
    ['META-INF/MANIFEST.MF', 'Manifest-Version: 1.0\r\n'],
    ['Main.class', bytes('cafebabe00000041')],
  ]),
  docx: openXml('docx'),
  xlsx: openXml('xlsx'),
  pptx: openXml('pptx'),
  odt: openDocument('text'),
  ods: openDocument('spreadsheet'),
  odp: openDocument('presentation'),
  /** What doc, xls and ppt have in common. */
  compoundFile: Buffer.concat([bytes('d0cf11e0a1b11ae1'), Buffer.alloc(504)]),
  exe: Buffer.concat([Buffer.from('MZ'), bytes('90000300000004000000ffff0000b800'), Buffer.from('PE\0\0')]),
  elf: bytes('7f454c46 02010100 0000000000000000 0300 3e00 01000000 4010000000000000'),
  gzip: bytes('1f8b0800000000000003 4b4c4a06 00c241243503000000'),
  text: Buffer.from('Grüße aus Köln, 日本語 and 🎉\n'),
  csv: Buffer.from('id,name\r\n1,"Müller, Jörg"\r\n'),
  markdown: Buffer.from('# Title\n\nSome <b>bold</b> text and <script>alert(1)</script>\n'),
  json: Buffer.from('{"a": [1, 2, 3]}\n'),
  html: Buffer.from('<!DOCTYPE html><html><script>alert(1)</script></html>'),
  svg: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
  svgWithProlog: Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
  xml: Buffer.from('<?xml version="1.0" encoding="UTF-8"?><note/>'),
  latin1: Buffer.from('Grüße aus Köln\n', 'latin1'),
  binary: bytes('00010203fffefdfc8081828384'),
  empty: Buffer.alloc(0),
} satisfies Record<string, Buffer>;

export type SampleName = keyof typeof samples;
