import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { fromBuffer, type ZipFile } from 'yauzl';
import { faultsFoundByOthers, readArchive } from '../support/archives.js';
import { entryNameOf } from '../../src/personal-data/entry-name.js';
import { ExportArchive } from '../../src/personal-data/export-archive.js';
import { jsonList } from '../../src/personal-data/json-list.js';

const ID = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const NOW = new Date('2026-01-01T00:00:00Z');
const never = () => new AbortController().signal;

describe('the archive of an export', () => {
  it('holds more files than a plain ZIP can count', async () => {
    const count = 66_000;
    const archive = new ExportArchive(never());
    const zip = buffer(archive.output);
    for (let n = 0; n < count; n++)
      await archive.addBytes(`files/${n}`, Readable.from([], { objectMode: false }), 0, NOW);
    archive.end();
    const bytes = await zip;
    const { entryCount } = await promisify<Buffer, ZipFile>(fromBuffer)(bytes);
    expect(entryCount).toBe(count);
  });

  it('is read by every program', async () => {
    const archive = new ExportArchive(never());
    const zip = buffer(archive.output);
    await archive.addText('a.txt', ['text']);
    await archive.addBytes('b', Readable.from('bytes', { objectMode: false }), 5, NOW);
    archive.end();
    const bytes = await zip;
    expect((await readArchive(bytes)).names).toEqual(['a.txt', 'b']);
    expect(await faultsFoundByOthers(bytes)).toEqual([]);
  });

  it('takes no file whose bytes are not as many as they should be', async () => {
    for (const [bytes, size] of [
      ['abc', 4],
      ['abcde', 4],
    ] as const) {
      const archive = new ExportArchive(never());
      const zip = buffer(archive.output);
      const expected = expect(zip).rejects.toThrow('unexpected number of bytes');
      await archive.addBytes('x', Readable.from(bytes, { objectMode: false }), size, NOW);
      await expected;
      expect(archive.fault?.message).toContain('unexpected number of bytes');
    }
  });

  it('ends with the source that fails, and destroys it', async () => {
    const archive = new ExportArchive(never());
    const source = new Readable({ read: () => source.destroy(new Error('disk')) });
    archive.output.on('error', () => undefined);
    await expect(archive.addBytes('x', source, 1, NOW)).rejects.toThrow('disk');
    expect(source.destroyed).toBe(true);
  });

  it('waits for nobody who has gone', async () => {
    const gone = new AbortController();
    const archive = new ExportArchive(gone.signal);
    const source = new Readable({ read: () => undefined });
    const adding = archive.addBytes('x', source, 1, NOW);
    gone.abort();
    await expect(adding).rejects.toThrow('aborted');
    expect(source.destroyed).toBe(true);
    const late = Readable.from(['x']);
    await expect(archive.addText('y', ['x'])).rejects.toThrow('aborted');
    late.destroy();
  });
});

describe('names in the archive', () => {
  it.each([
    ['a.txt', 'a.txt'],
    ['../x', '.._x'],
    ['a/b\\c:d', 'a_b_c_d'],
    ['..', 'file'],
    ['. .', 'file'],
    ['name.', 'name'],
    ['evil\u202efdp.exe', 'evil_fdp.exe'],
    ['tab\there\u0000', 'tab_here_'],
    ['half \ud800 pair', 'half \ufffd pair'],
    [`${'a'.repeat(300)}.tar`, `${'a'.repeat(255 - 37 - 4)}.tar`],
    [`${'🎉'.repeat(100)}.png`, `${'🎉'.repeat(53)}.png`],
  ])('%j becomes %j', (name, expected) => {
    const entry = entryNameOf(ID, name);
    expect(entry).toBe(`files/${ID}-${expected}`);
    expect(Buffer.byteLength(entry.slice('files/'.length))).toBeLessThanOrEqual(255);
  });
});

describe('a list as JSON', () => {
  it.each([0, 1, 3, 5_000])('of %d items', async (count) => {
    const items = Array.from({ length: count }, (_, n) => ({ n, text: 'ü"\n'.repeat(n % 7) }));
    const chunks: string[] = [];
    for await (const chunk of jsonList(items)) chunks.push(chunk);
    expect(JSON.parse(chunks.join(''))).toEqual(items);
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThan(40_000);
  });
});
