import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { aSignedInUser, type SignedIn } from '../support/builders.js';
import { samples, zipOf } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const UPLOADS = '/api/v1/uploads';
const BOUNDARY = 'b';
const FORM = `multipart/form-data; boundary=${BOUNDARY}`;

const filesIn = (app: TestApp): string[] =>
  readdirSync(join(app.dataDir, 'files'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'storage-id')
    .map((entry) => join(entry.parentPath, entry.name).slice(app.dataDir.length + '/files/'.length))
    .sort();

/** Descriptors that this process, which is the program, holds open below the files' folder. */
const openFilesIn = (app: TestApp): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(join(app.dataDir, 'files')) ? [path] : [];
    } catch {
      return [];
    }
  });

async function eventually(look: () => unknown, expected: unknown): Promise<void> {
  for (const deadline = Date.now() + 4_000; ;) {
    const seen = await look();
    if (JSON.stringify(seen) === JSON.stringify(expected) || Date.now() > deadline)
      return expect(seen).toEqual(expected);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('files', () => {
  let app: TestApp;
  let user: SignedIn;

  beforeAll(async () => {
    app = await startTestApp({ ALLOWED_FILE_TYPES: '*' });
    user = await aSignedInUser(app);
  });
  afterAll(() => app.close());

  const formOf = (disposition: string | Buffer, content: string | Buffer = 'text', type = 'text/plain') =>
    Buffer.concat([
      Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="`),
      Buffer.from(disposition),
      Buffer.from(`"\r\nContent-Type: ${type}\r\n\r\n`),
      Buffer.from(content),
      Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
    ]);
  const post = (body: Buffer, as: SignedIn = user, to: TestApp = app) =>
    fetch(`${to.url}${UPLOADS}`, {
      method: 'POST',
      headers: { 'Content-Type': FORM, ...as.auth },
      body: body as never,
    });
  const upload = async (name: string, content: Buffer, type = 'application/octet-stream', to = app): Promise<any> => {
    const answer = await post(formOf(name, content, type), user, to);
    expect([name, answer.status]).toEqual([name, 201]);
    return answer.json();
  };
  const download = (id: string) => app.http.get(`${UPLOADS}/${id}/download`).set(user.auth).responseType('blob');

  const NAMES: [what: string, name: string | Buffer, shown: string][] = [
    ['a way up', '../../../../etc/passwd.txt', 'passwd.txt'],
    ['a way up, in Windows', '..\\..\\windows\\win.txt', 'win.txt'],
    ['an encoded way up', '..%2f..%2fa.txt', '..%2f..%2fa.txt'],
    ['the root', '/etc/cron.d/x.txt', 'x.txt'],
    ['a drive', 'C:\\temp\\a.txt', 'a.txt'],
    ['a drive and no more', 'C:a.txt', 'a.txt'],
    ['a NUL', 'a\0b.txt', 'ab.txt'],
    ['an extension behind a NUL', 'a.txt\0.txt', 'a.txt.txt'],
    ['a mark that turns the text', 'invoice\u202efdp.txt', 'invoicefdp.txt'],
    ['isolates', '\u2066a\u2069.txt', 'a.txt'],
    ['control characters', 'a\u0007\u001b[31m.txt', 'a[31m.txt'],
    ['nothing', '', 'file'],
    ['dots', '..', 'file'],
    ['blanks', '   ', 'file'],
    ['10,000 characters', `${'x'.repeat(7_900)}.txt`, `${'x'.repeat(251)}.txt`],
    ['markup', '<img src=x onerror=alert(1)>.txt', '<img src=x onerror=alert(1)>.txt'],
    [
      'bytes that are not UTF-8',
      Buffer.from([0x61, 0xff, 0xfe, 0x2e, 0x74, 0x78, 0x74]),
      expect.stringMatching(/^a.*\.txt$/),
    ],
  ];
  it.each(NAMES)('S33 a name with %s is shown plainly and makes no path', async (_what, name, shown) => {
    const before = filesIn(app);
    const answer = await post(formOf(name));
    const body = (await answer.json()) as any;
    expect([answer.status, body.filename, body.original_filename]).toEqual([201, shown, shown]);
    const added = filesIn(app).filter((path) => !before.includes(path));
    expect(added).toEqual([`${body.id.slice(-2)}/${body.id}`]);
    expect((await download(body.id).expect(200)).body.toString()).toBe('text');
  });

  it('S33 a name of 10,000 characters, beyond what a part may have of headers, is refused or cut, never a path', async () => {
    const before = filesIn(app);
    const answer = await post(formOf(`${'y'.repeat(10_000)}.txt`));
    expect([201, 400, 413, 422]).toContain(answer.status);
    const { id, filename } = (await answer.json()) as any;
    const added = filesIn(app).filter((path) => !before.includes(path));
    expect(added).toEqual(answer.status === 201 ? [`${id.slice(-2)}/${id}`] : []);
    if (answer.status === 201) expect(filename.length).toBeLessThanOrEqual(255);
  });

  it.each([
    ['a line break', 'a%0D%0ASet-Cookie: x=1.txt'],
    ['a quote', 'a%22; filename=evil.html.txt'],
    ['a backslash and a quote', 'a\\".txt'],
    ['a semicolon', 'a; filename=evil.exe.txt'],
    ['several scripts', 'Ω 日本 🐎 é.txt'],
    ['a per cent sign', '100%41.txt'],
    ['an apostrophe', "utf-8''x.txt"],
  ])('S34 a name with %s makes one well-formed Content-Disposition', async (_what, name) => {
    const answer = await post(formOf(name));
    const { id, original_filename } = (await answer.json()) as any;
    const { headers } = await download(id).expect(200);
    expect(headers).not.toHaveProperty('set-cookie');
    // RFC 6266 and 8187: one type, each parameter once, a quoted string or token, and an extended value.
    const grammar =
      /^attachment; filename=("(?:[^"\\\x00-\x1f\x7f-\uffff])*"|[\w!#$&'*+.^`|~-]+)(?:; filename\*=UTF-8''((?:[\w!#$&+.^`|~-]|%[0-9A-F]{2})+))?$/;
    const [, plain, extended] = grammar.exec(headers['content-disposition']) ?? [];
    expect(plain).toBeDefined();
    expect(extended === undefined ? plain.replace(/^"|"$/g, '') : decodeURIComponent(extended)).toBe(original_filename);
  });

  it.each([
    ['evil.svg', samples.svg],
    ['evil.html', samples.html],
    ['evil.xml', samples.xml],
    ['evil.js', Buffer.from('alert(1)')],
    ['evil.xhtml', Buffer.from('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>')],
  ])('S35 %s, where it is allowed at all, goes out as an attachment that nothing runs', async (name, bytes) => {
    const { id } = await upload(name, bytes);
    const { body: link } = await app.http.post(`${UPLOADS}/${id}/signed-url`).set(user.auth).send({}).expect(200);
    const answers = [
      await download(id).expect(200),
      await download(id).set('Range', 'bytes=0-3').expect(206),
      await app.http.head(`${UPLOADS}/${id}/download`).set(user.auth).expect(200),
      await app.http.get(link.url.slice(app.url.length)).responseType('blob').expect(200),
    ];
    for (const { headers } of answers) {
      expect(headers['content-disposition']).toMatch(/^attachment; /);
      expect(headers['x-content-type-options']).toBe('nosniff');
      const directives = new Map(
        (headers['content-security-policy'] as string).split(';').map((directive) => {
          const [key, ...values] = directive.trim().split(/\s+/);
          return [key, values] as const;
        }),
      );
      // An empty list of exceptions: no scripts, no forms, an origin of its own.
      expect(directives.get('sandbox')).toEqual([]);
      expect(directives.get('default-src')).toEqual(["'none'"]);
      expect(headers['x-frame-options'] ?? 'DENY').toMatch(/^DENY$/i);
      expect(headers).not.toHaveProperty('access-control-allow-origin');
    }
  });

  describe('with the types of the default list', () => {
    let strict: TestApp;
    let person: SignedIn;
    beforeAll(async () => {
      strict = await startTestApp();
      person = await aSignedInUser(strict);
    });
    afterAll(() => strict.close());

    it.each(['svg', 'html', 'htm', 'xhtml', 'xml', 'js', 'mjs', 'exe', 'dll', 'bat', 'sh', 'php', 'hta', 'jar', 'swf'])(
      'S35 a .%s is not taken',
      async (extension) => {
        const { status } = await post(formOf(`evil.${extension}`, 'alert(1)', 'text/plain'), person, strict);
        expect(status).toBe(415);
        await eventually(() => filesIn(strict), []);
      },
    );

    it.each([
      ['a program as a picture', 'a.png', samples.exe, 'image/png'],
      ['a program as text', 'a.txt', samples.elf, 'text/plain'],
      ['markup as a picture', 'a.png', samples.html, 'image/png'],
      ['markup as JSON, declared', 'a.json', samples.html, 'text/html'],
      ['SVG as a picture', 'a.jpg', samples.svg, 'image/jpeg'],
      ['a PDF as a picture', 'a.gif', samples.pdf, 'image/gif'],
      ['a picture as a PDF', 'a.pdf', samples.png, 'application/pdf'],
      ['one picture as another', 'a.png', samples.jpeg, 'image/png'],
      ['a picture that its name denies', 'a.pdf', samples.png, 'image/png'],
      ['a picture that its declaration denies', 'a.png', samples.png, 'application/pdf'],
      ['an archive as a document', 'a.docx', samples.zip, 'application/zip'],
      ['a jar as a spreadsheet', 'a.xlsx', samples.jar, 'application/zip'],
      ['a NUL in a text', 'a.txt', Buffer.from('a\0b'), 'text/plain'],
      ['Latin-1 in a text', 'a.csv', samples.latin1, 'text/csv'],
      ['nothing known', 'a', samples.binary, 'application/octet-stream'],
      ['a signature without the rest of its text', 'a.png', Buffer.from('\x89PN', 'latin1'), 'image/png'],
    ])('S36 %s is 415 and leaves nothing', async (_what, name, bytes, type) => {
      const answer = await post(formOf(name, bytes, type), person, strict);
      expect(answer.status).toBe(415);
      expect(((await answer.json()) as any).error_code).toMatch(/^file_type_(mismatch|not_allowed)$/);
      await eventually(() => filesIn(strict), []);
      expect((await strict.pool.query('SELECT * FROM uploads')).rows).toEqual([]);
    });
  });

  /** Everything that the server says to bytes as they are; the connection is closed by either side. */
  const sendBytes = async (to: TestApp, as: SignedIn, headers: string[], chunks: Buffer[]): Promise<number> => {
    const socket = net.connect(to.port, '127.0.0.1');
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    const lines = [
      `POST ${UPLOADS} HTTP/1.1`,
      'Host: x',
      `Authorization: ${as.auth.Authorization}`,
      'Connection: close',
    ];
    socket.write([...lines, ...headers, '', ''].join('\r\n'));
    for (const chunk of chunks) {
      if (socket.destroyed) break;
      if (!socket.write(chunk))
        await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
    }
    if (!socket.closed) await once(socket, 'close');
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(received)?.[1] ?? 0);
  };
  const chunk = (bytes: Buffer) =>
    Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
  const END = Buffer.from('0\r\n\r\n');

  describe('with MAX_FILE_SIZE=100000', () => {
    let small: TestApp;
    let person: SignedIn;
    beforeAll(async () => {
      small = await startTestApp({ MAX_FILE_SIZE: '100000' });
    });
    beforeEach(async () => {
      person = await aSignedInUser(small);
    });
    afterAll(() => small.close());

    const large = formOf('a.bin.zip', Buffer.concat([samples.zip, Buffer.alloc(400_000)]), 'application/zip');
    it.each([
      ['declared', [`Content-Length: ${large.length}`], [large], [413]],
      [
        'in chunks',
        ['Transfer-Encoding: chunked'],
        [chunk(large.subarray(0, 50_000)), chunk(large.subarray(50_000)), END],
        [413],
      ],
      ['in chunks without an end', ['Transfer-Encoding: chunked'], [chunk(large)], [413]],
      ['behind a length that is too short', ['Content-Length: 1000'], [large], [400]],
      ['behind a length that is a lie upwards', ['Content-Length: 100000000000'], [large], [413]],
      ['behind two lengths', ['Content-Length: 10', `Content-Length: ${large.length}`], [large], [400]],
      ['behind a length and chunks', ['Content-Length: 10', 'Transfer-Encoding: chunked'], [chunk(large), END], [400]],
    ])('S37 a file over the cap %s leaves nothing', async (_how, headers, chunks, statuses) => {
      expect(statuses).toContain(await sendBytes(small, person, [`Content-Type: ${FORM}`, ...headers], chunks));
      await eventually(() => filesIn(small), []);
      await eventually(
        async () => (await small.pool.query('SELECT storage_held::int FROM users WHERE id = $1', [person.id])).rows,
        [{ storage_held: 0 }],
      );
      await eventually(
        async () => (await small.pool.query('SELECT id FROM uploads WHERE owner_id = $1', [person.id])).rows,
        [],
      );
    });
  });

  it('S38 a zip bomb and a picture of a gigapixel are stored as they are', async () => {
    const inner = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const bomb = zipOf(Array.from({ length: 60 }, (_, at) => [`${at}.gz`, inner] as const));
    const header = Buffer.from(samples.png);
    header.writeUInt32BE(40_000, 16);
    header.writeUInt32BE(40_000, 20);
    const picture = Buffer.concat([header, deflateSync(Buffer.alloc(16 * 1024 * 1024))]);
    const before = process.memoryUsage().rss;
    for (const [name, bytes] of [
      ['bomb.zip', bomb],
      ['bomb.png', picture],
    ] as const) {
      const { id, file_size } = await upload(name, bytes);
      expect(file_size).toBe(bytes.length);
      expect(bytes.equals((await download(id)).body)).toBe(true);
    }
    // Unpacked, the one is 4 GB and the other 6.
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
  });

  describe('S39 20 uploads at once at the edge of a quota', () => {
    const SIZE = 40_000;
    const FITTING = 7;
    const bytes = () => Buffer.concat([samples.zip, randomBytes(SIZE - samples.zip.length)]);
    const heldBy = async (of: TestApp) =>
      (
        await of.pool.query(
          `SELECT (SELECT sum(storage_held) FROM users)::int AS users, (SELECT bytes FROM storage_totals)::int AS total,
                  (SELECT coalesce(sum(file_size), 0) FROM uploads)::int AS rows, (SELECT count(*) FROM uploads)::int AS files`,
        )
      ).rows[0];
    /** Looks at the sums all the time; a sum above the limit is seen even if it is corrected later. */
    const watching = async (of: TestApp, work: Promise<Response[]>) => {
      let isDone = false;
      let most = 0;
      const finished = work.finally(() => (isDone = true));
      while (!isDone) {
        const { users, total } = await heldBy(of);
        most = Math.max(most, users, total);
      }
      return { statuses: (await finished).map(({ status }) => status).sort(), most };
    };

    it.each([
      ["one user's", 'USER_QUOTA', 1],
      ["everybody's", 'STORAGE_QUOTA', 5],
    ] as const)('%s: as many as fit are in, the sum is never over', async (_whose, variable, users) => {
      // Room for the forms around the files, too, which a reservation holds until the size is known.
      const quota = FITTING * (SIZE + 1_000);
      const edge = await startTestApp({ USER_QUOTA: String(quota), [variable]: String(quota) });
      const people = await Promise.all(Array.from({ length: users }, () => aSignedInUser(edge)));
      const sent = Array.from({ length: 20 }, (_, at) => post(formOf('a.zip', bytes()), people[at % users], edge));
      const { statuses, most } = await watching(edge, Promise.all(sent));
      expect(statuses).toEqual([...Array(FITTING).fill(201), ...Array(20 - FITTING).fill(507)]);
      expect(most).toBeLessThanOrEqual(quota);
      const sum = FITTING * SIZE;
      await eventually(() => heldBy(edge), { users: sum, total: sum, rows: sum, files: FITTING });
      expect(filesIn(edge)).toHaveLength(FITTING);
      await edge.close();
    });

    it('whose last byte is exactly the last byte of a file: never over, and the room that is left can be had', async () => {
      const quota = FITTING * SIZE;
      const edge = await startTestApp({ USER_QUOTA: String(quota) });
      const person = await aSignedInUser(edge);
      const sent = Array.from({ length: 20 }, () => post(formOf('a.zip', bytes()), person, edge));
      const { statuses, most } = await watching(edge, Promise.all(sent));
      expect(most).toBeLessThanOrEqual(quota);
      // While six hold room for their forms, too, the seventh gets its last bytes only if one of them is through by then.
      const stored = statuses.filter((status) => status === 201).length;
      expect([FITTING - 1, FITTING]).toContain(stored);
      await eventually(async () => (await heldBy(edge)).users, stored * SIZE);
      for (let at = stored; at < FITTING; at++)
        expect((await post(formOf('a.zip', bytes()), person, edge)).status).toBe(201);
      await eventually(async () => (await heldBy(edge)).users, quota);
      expect((await post(formOf('a.txt', 'x'), person, edge)).status).toBe(507);
      await edge.close();
    });
  });

  describe('S40 broken multipart bodies', () => {
    let strict: TestApp;
    let person: SignedIn;
    beforeAll(async () => {
      strict = await startTestApp();
      person = await aSignedInUser(strict);
    });
    afterAll(() => strict.close());

    const DISPOSITION = 'Content-Disposition: form-data; name="file"; filename="a.txt"';
    const body = (...lines: string[]) => Buffer.from(lines.join('\r\n'), 'latin1');
    const good = body('--b', DISPOSITION, '', 'text', '--b--', '');
    const withHeaders = (...headers: string[]) => body('--b', ...headers, '', 'text', '--b--', '');
    const CORPUS: [what: string, body: Buffer, boundary?: string][] = [
      ['nothing', Buffer.alloc(0)],
      ['a line break', body('', '')],
      ['no boundary at all', Buffer.from('text')],
      ['another boundary', good, 'x'],
      ['a boundary of 200 characters', good, 'b'.repeat(200)],
      [
        'a boundary of 200 characters, used',
        Buffer.from(good.toString().replaceAll('--b', `--${'b'.repeat(200)}`)),
        'b'.repeat(200),
      ],
      ['an empty boundary', good, '""'],
      ['a boundary of blanks', good, '"   "'],
      ['a boundary that is only begun', good, '"b'],
      ['a beginning of a boundary', Buffer.from('--')],
      ['the first boundary alone', Buffer.from('--b')],
      ['the first boundary and a line', Buffer.from('--b\r\n')],
      ['only the final boundary', Buffer.from('--b--')],
      ['a header cut off', good.subarray(0, 30)],
      ['headers without an end', body('--b', DISPOSITION)],
      ['headers and an empty line', body('--b', DISPOSITION, '', '')],
      ['no final boundary', body('--b', DISPOSITION, '', 'text')],
      ['no final boundary after a line', body('--b', DISPOSITION, '', 'text', '')],
      ['a boundary without its dashes at the end', body('--b', DISPOSITION, '', 'text', '--b', '')],
      ['half of the final boundary', body('--b', DISPOSITION, '', 'text', '--b-')],
      ['no empty line behind the headers', body('--b', DISPOSITION, 'text', '--b--', '')],
      ['line feeds alone', Buffer.from(good.toString().replaceAll('\r\n', '\n'))],
      ['carriage returns alone', Buffer.from(good.toString().replaceAll('\r\n', '\r'))],
      ['a part without headers', body('--b', '', 'text', '--b--', '')],
      ['no disposition', withHeaders('Content-Type: text/plain')],
      ['an empty disposition', withHeaders('Content-Disposition: ')],
      ['a disposition of another kind', withHeaders('Content-Disposition: attachment; name="file"; filename="a.txt"')],
      ['two dispositions', withHeaders('Content-Disposition: form-data; name="x"', DISPOSITION)],
      ['a disposition without a name', withHeaders('Content-Disposition: form-data; filename="a.txt"')],
      ['a name that is only begun', withHeaders('Content-Disposition: form-data; name="fi')],
      ['a NUL in the name', withHeaders('Content-Disposition: form-data; name="fi\0le"; filename="a.txt"')],
      ['a CR in the name', withHeaders('Content-Disposition: form-data; name="fi\rle"; filename="a.txt"')],
      ['a CR in a header name', withHeaders('Content-\rDisposition: form-data; name="file"; filename="a.txt"')],
      ['a header without a colon', withHeaders('Content-Disposition form-data', 'x')],
      ['a header that begins with a colon', withHeaders(': x', DISPOSITION)],
      ['a header of 100 KB', withHeaders(`X-Long: ${'x'.repeat(100_000)}`)],
      ['a header of 100 KB before the disposition', withHeaders(`X-Long: ${'x'.repeat(100_000)}`, DISPOSITION)],
      ['1,000 headers before the disposition', withHeaders(...Array<string>(1_000).fill('X: y'), DISPOSITION)],
      ['1,000 empty parts', body(...Array<string>(1_000).fill('--b\r\n\r\n'), '--b--', '')],
      [
        '1,000 fields',
        body(
          ...Array.from({ length: 1_000 }, (_, at) => `--b\r\nContent-Disposition: form-data; name="f${at}"\r\n\r\nx`),
          '--b--',
          '',
        ),
      ],
      ['1,000 files', body(...Array<string>(1_000).fill(`--b\r\n${DISPOSITION}\r\n\r\nx`), '--b--', '')],
      [
        'multipart in multipart',
        body(
          '--b',
          DISPOSITION.replace('; filename="a.txt"', ''),
          'Content-Type: multipart/mixed; boundary=c',
          '',
          '--c',
          'Content-Disposition: attachment; filename="a.txt"',
          '',
          'x',
          '--c--',
          '--b--',
          '',
        ),
      ],
      [
        'a charset that there is none of',
        body(
          '--b',
          'Content-Disposition: form-data; name="description"',
          'Content-Type: text/plain; charset=no-such',
          '',
          'x',
          '--b',
          DISPOSITION,
          '',
          'text',
        ),
      ],
      ['an encoded part that is cut', body('--b', DISPOSITION, 'Content-Transfer-Encoding: base64', '', 'dGV4', '--b')],
      [
        'a file and then a part cut in its headers',
        body('--b', DISPOSITION, '', 'text', '--b', 'Content-Disposition: form-'),
      ],
      [
        'a file and then a second of the same name',
        body('--b', DISPOSITION, '', 'text', '--b', DISPOSITION, '', 'text', '--b--', ''),
      ],
      [
        'a field and then a file that is cut',
        body('--b', 'Content-Disposition: form-data; name="description"', '', 'd', '--b', DISPOSITION, '', 'te'),
      ],
      ['zeros', Buffer.alloc(10_000)],
      ['dashes', Buffer.alloc(10_000, '-')],
      ['boundaries and nothing else', Buffer.from('--b\r\n'.repeat(2_000))],
    ];
    /** Readers of RFC 2046 may take or refuse these; a file that comes of one is whole. */
    const DEBATABLE =
      /^(two dispositions|a boundary that is only begun|a header of 100 KB|1,000 headers|an encoded part|a header that begins|boundaries)/;

    const send = (bytes: Buffer, boundary = 'b') =>
      sendBytes(
        strict,
        person,
        [`Content-Type: multipart/form-data; boundary=${boundary}`, `Content-Length: ${bytes.length}`],
        [bytes],
      );
    const expectClean = async () => {
      await eventually(
        async () => {
          const { rows } = await strict.pool.query<{ id: string; state: string }>('SELECT id, state FROM uploads');
          const known = rows
            .map(({ id, state }) => (state === 'ready' ? `${id.slice(-2)}/${id}` : `pending ${id}`))
            .sort();
          const found = filesIn(strict);
          return {
            alien: found.filter((path) => !known.includes(path)),
            lost: known.filter((path) => !found.includes(path)),
          };
        },
        { alien: [], lost: [] },
      );
      await strict.http.get('/health').expect(200);
    };

    it.each(CORPUS.map(([what, ...rest]) => ({ what, rest })))(
      '$what: refused, nothing left',
      async ({ what, rest }) => {
        const [bytes, boundary] = rest;
        const status = await send(bytes, boundary);
        const isUsed = what === 'a boundary of 200 characters, used';
        if (isUsed || DEBATABLE.test(what)) expect([201, 400, 413, 415, 422]).toContain(status);
        else expect([400, 413, 415, 422]).toContain(status);
        await expectClean();
      },
    );

    it('leave no file open', async () => {
      for (const [, bytes, boundary] of CORPUS.slice(0, 48)) await send(bytes, boundary);
      await expectClean();
      await eventually(() => openFilesIn(strict), []);
    });

    it('cut anywhere, a good body is refused; in whatever pieces it comes, it is taken', async () => {
      for (let at = 0; at < good.length - 4; at++)
        expect([at, [400, 422].includes(await send(good.subarray(0, at)))]).toEqual([at, true]);
      const bytewise = [...good].map((byte) => chunk(Buffer.from([byte])));
      const headers = ['Content-Type: multipart/form-data; boundary=b', 'Transfer-Encoding: chunked'];
      expect(await sendBytes(strict, person, headers, [...bytewise, END])).toBe(201);
      await expectClean();
    });

    it('mutated at random, a body never brings down the process, and leaves nothing but whole files', async () => {
      const edit = fc.record({
        at: fc.nat(good.length - 1),
        remove: fc.nat(6),
        insert: fc.oneof(
          fc.uint8Array({ maxLength: 4 }),
          fc
            .constantFrom('\r\n', '--b', '--b--', '\r\n\r\n', '"', ';', '\0')
            .map((text) => Uint8Array.from(Buffer.from(text))),
        ),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
          let bytes = good;
          for (const { at, remove, insert } of edits)
            bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
          const status = await send(bytes);
          expect([201, 400, 413, 415, 422]).toContain(status);
        }),
        { numRuns: 150, seed: 42 },
      );
      await expectClean();
    });
  });
});
