import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DomainEvents } from '../../src/common/events/domain-events.js';
import { UploadCompletedEvent } from '../../src/uploads/uploads.events.js';
import { Reconciler } from '../../src/uploads/upkeep/reconciler.js';
import { aSignedInUser, PASSWORD, type SignedIn } from '../support/builders.js';
import { samples } from '../support/samples.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const UPLOADS = '/api/v1/uploads';
const BOUNDARY = 'a-boundary';
const FORM = `multipart/form-data; boundary=${BOUNDARY}`;

/** A part of a form; `content` as it is. */
const part = (disposition: string, content: string | Buffer = 'text', type = 'text/plain') =>
  Buffer.concat([
    Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\nContent-Type: ${type}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ]);
const form = (...parts: Buffer[]) => Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)]);
const FILE = part('name="file"; filename="notes.txt"');
const fileOf = (content: Buffer, name = 'large.zip') =>
  part(`name="file"; filename="${name}"`, content, 'application/octet-stream');
const zipOfSize = (size: number) => Buffer.concat([samples.zip], size);

function filesIn(app: TestApp): string[] {
  return readdirSync(join(app.dataDir, 'files'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'storage-id')
    .map(({ name }) => name);
}

async function leftBy(app: TestApp, { id }: SignedIn): Promise<object> {
  const { rows } = await app.pool.query(
    `SELECT storage_held::int AS held, total_uploads::int AS files, (SELECT count(*)::int FROM uploads WHERE owner_id = u.id) AS rows,
            (SELECT count(*)::int FROM removed_blobs) AS removed
     FROM users u WHERE id = $1`,
    [id],
  );
  const others = await app.pool.query("SELECT id FROM uploads WHERE owner_id <> $1 AND state = 'ready'", [id]);
  const known = new Set(others.rows.map((row) => row.id));
  return { ...rows[0], onDisk: filesIn(app).filter((name) => !known.has(name)) };
}

const NOTHING = { held: 0, files: 0, rows: 0, removed: 0, onDisk: [] };

/** Looks until it is so, and fails with what is there instead. */
async function eventually(look: () => Promise<unknown>, expected: unknown): Promise<void> {
  for (const deadline = Date.now() + 60_000; ;) {
    const seen = await look();
    if (JSON.stringify(seen) === JSON.stringify(expected) || Date.now() > deadline)
      return expect(seen).toEqual(expected);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const head = (user: SignedIn | null, headers: string[], line = `POST ${UPLOADS}`) =>
  [
    `${line} HTTP/1.1`,
    'Host: x',
    ...(user ? [`Authorization: ${user.auth.Authorization}`] : []),
    ...headers,
    '',
    '',
  ].join('\r\n');

/** A connection whose answers can be awaited as they come. */
class Client {
  received = '';
  readonly socket: net.Socket;

  constructor(app: TestApp) {
    this.socket = net.connect(app.port, '127.0.0.1');
    this.socket.on('data', (chunk: Buffer) => (this.received += chunk.toString('latin1')));
    this.socket.on('error', () => undefined);
  }

  write(...chunks: (string | Buffer)[]): this {
    for (const chunk of chunks) this.socket.write(chunk);
    return this;
  }

  async receives(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.received)) {
      if (this.socket.closed) throw new Error(`closed after: ${this.received}`);
      await Promise.race([once(this.socket, 'data'), once(this.socket, 'close')]);
    }
    return this.received;
  }

  async closes(): Promise<string> {
    // Not once(): that fails at a reset, which is an end as well.
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once('close', resolve));
    return this.received;
  }
}

const chunked = (body: Buffer, size = 65_536): Buffer[] => {
  const chunks: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const piece = body.subarray(at, at + size);
    chunks.push(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]));
  }
  return [...chunks, Buffer.from('0\r\n\r\n')];
};

describe('uploads that are refused', () => {
  let app: TestApp;
  let user: SignedIn;
  let clients: Client[] = [];
  const completed: UploadCompletedEvent[] = [];

  const connect = (to: TestApp = app) => {
    const client = new Client(to);
    clients.push(client);
    return client;
  };
  const post = (body: Buffer | string, headers: Record<string, string> = {}, as: SignedIn = user, to = app) =>
    fetch(`${to.url}${UPLOADS}`, {
      method: 'POST',
      headers: { 'Content-Type': FORM, ...as.auth, ...headers },
      body: body as never,
    });

  beforeAll(async () => {
    app = await startTestApp();
    app.app.get(DomainEvents).on(UploadCompletedEvent, (event) => completed.push(event));
  });
  beforeEach(async () => {
    user = await aSignedInUser(app);
    completed.length = 0;
  });
  afterEach(() => {
    for (const { socket } of clients) socket.destroy();
    clients = [];
  });
  afterAll(() => app.close());

  const description = (text: string) => part('name="description"', text);
  const FORMS: [what: string, body: () => Buffer, status: number, fields: string[] | null][] = [
    ['no file', () => form(description('d')), 422, ['file']],
    ['nothing in it', () => form(), 422, ['file']],
    ['two files', () => form(FILE, FILE), 422, ['file']],
    ['a file in a field of another name', () => form(part('name="document"; filename="a.txt"')), 422, ['document']],
    ['a second file in another field', () => form(FILE, part('name="other"; filename="a.txt"')), 422, ['other']],
    ['a text in the field of the file', () => form(part('name="file"')), 422, ['file']],
    ['a file as description', () => form(FILE, part('name="description"; filename="a.txt"')), 422, ['description']],
    ['an unknown field', () => form(FILE, part('name="user_id"', 'x')), 422, ['user_id']],
    ['an unknown field before the file', () => form(part('name="content_type"', 'x'), FILE), 422, ['content_type']],
    ['a field named __proto__', () => form(FILE, part('name="__proto__"', 'x')), 422, ['__proto__']],
    ['a field named constructor', () => form(FILE, part('name="constructor"', 'x')), 422, ['constructor']],
    ['a field twice', () => form(description('a'), FILE, description('b')), 400, null],
    ['a description of 1001 characters', () => form(FILE, description('d'.repeat(1001))), 422, ['description']],
    ['1001 horses before the file', () => form(description('🐎'.repeat(1001)), FILE), 422, ['description']],
    ['control characters in the description', () => form(FILE, description('a\u0007b')), 422, ['description']],
    ['a NUL in the description', () => form(FILE, description('a\0b')), 422, ['description']],
    ['a mark that turns the text', () => form(FILE, description('a\u202eb')), 422, ['description']],
    ['no file chosen in a browser', () => form(part('name="file"; filename=""', '')), 422, ['file']],
    ['a description in Latin-1', () => Buffer.from(form(FILE, description('café')).toString(), 'latin1'), 400, null],
    ['a description of 17 KB', () => form(FILE, description('d'.repeat(17_000))), 400, null],
  ];
  it.each(FORMS)('a form with %s leaves nothing', async (_what, body, status, fields) => {
    const answer = await post(body());
    const error = (await answer.json()) as any;
    expect([answer.status, error.code, error.status]).toEqual([status, status, 'error']);
    if (fields) expect(Object.keys(error.field_errors)).toEqual(fields);
    if (fields) expect(error.detail[0].loc).toEqual(['body', fields[0]]);
    await eventually(() => leftBy(app, user), NOTHING);
    expect(completed).toEqual([]);
  });

  it('a file in a field without a name is refused in the words of every refusal', async () => {
    const answer = await post(form(part('filename="a.txt"')));
    const error = (await answer.json()) as any;
    expect([400, 422]).toContain(answer.status);
    for (const { loc } of error.status === 'error' && Array.isArray(error.detail) ? error.detail : [])
      for (const step of loc) expect(typeof step).toBe('string');
    expect(JSON.stringify(error)).not.toMatch(/undefined|null/);
    await eventually(() => leftBy(app, user), NOTHING);
  });

  it.each([
    ['JSON', 'application/json', '{"file":"x"}', 415],
    ['plain text', 'text/plain', 'x', 415],
    ['a form of fields', 'application/x-www-form-urlencoded', 'file=x', 415],
    ['bytes', 'application/octet-stream', 'x', 415],
    ['multipart of another kind', `multipart/mixed; boundary=${BOUNDARY}`, form(FILE), 415],
    ['a form without its boundary', 'multipart/form-data', form(FILE), 415],
    ['a form with an empty boundary', 'multipart/form-data; boundary=', form(FILE), 400],
    ['a form with another boundary', 'multipart/form-data; boundary=other', form(FILE), 400],
  ])('a body of %s is refused and leaves nothing', async (_what, type, body, status) => {
    const answer = await post(body, { 'Content-Type': type });
    const error = (await answer.json()) as any;
    const expected = type === 'multipart/form-data' ? [400, 415] : [status];
    expect([expected.includes(answer.status) || answer.status, error.code]).toEqual([true, answer.status]);
    await eventually(() => leftBy(app, user), NOTHING);
  });

  it('no body at all is refused and leaves nothing', async () => {
    const { status } = await app.http.post(UPLOADS).set(user.auth);
    expect([400, 415]).toContain(status);
    await eventually(() => leftBy(app, user), NOTHING);
  });

  it.each([
    ['type not allowed by its name', 'page.html', samples.html, 'file_type_not_allowed'],
    ['type not allowed by its content', 'page', samples.exe, 'file_type_not_allowed'],
    ['content other than its name says', 'photo.png', samples.pdf, 'file_type_mismatch'],
    ['text that is none', 'notes.txt', samples.binary, 'file_type_mismatch'],
  ])('a file of a %s is 415 and leaves nothing', async (_what, name, bytes, code) => {
    const { body } = await app.http.post(UPLOADS).set(user.auth).attach('file', bytes, name).expect(415);
    expect(body.error_code).toBe(code);
    await eventually(() => leftBy(app, user), NOTHING);
    expect(completed).toEqual([]);
  });

  it.each([
    ['the root', '/uploads'],
    ['another method', UPLOADS],
  ])('%s has no such route', async (what, path) => {
    const request = what === 'the root' ? app.http.post(path) : app.http.put(path);
    expect((await request.set(user.auth)).status).toBe(what === 'the root' ? 404 : 405);
  });

  describe('before their bytes', () => {
    const invited = /^HTTP\/1\.1 100/;
    const expecting = (length: number) => [
      'Expect: 100-continue',
      `Content-Type: ${FORM}`,
      `Content-Length: ${length}`,
    ];

    it('a good one is invited, and then taken', async () => {
      const body = form(FILE);
      const client = connect().write(head(user, expecting(body.length)));
      await client.receives(invited);
      client.write(body);
      expect(await client.receives(/HTTP\/1\.1 201/)).toContain('"filename":"notes.txt"');
    });

    it.each([
      ['a guest', 401, () => head(null, expecting(100))],
      ['a body longer than a file may be', 413, () => head(user, expecting(20_000_000))],
      ['a quota that has no room', 507, () => head(user, expecting(200_000))],
      [
        'a body that is no form',
        415,
        () => head(user, [...expecting(10).slice(0, 1), 'Content-Type: text/plain', 'Content-Length: 10']),
      ],
    ])('%s is not invited', async (_what, status, request) => {
      if (status === 507) await app.pool.query('UPDATE users SET quota = 1000 WHERE id = $1', [user.id]);
      const client = connect().write(request());
      const answer = await client.receives(/\}$/);
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer).not.toContain('100 Continue');
      await eventually(() => leftBy(app, user), NOTHING);
    });

    it('one over the limit of its group is not invited', async () => {
      const limited = await startTestApp({ RATE_LIMIT_ENABLED: 'true', RATE_LIMIT_UPLOADS: '1/60' });
      const someone = await aSignedInUser(limited);
      expect((await post(form(FILE), {}, someone, limited)).status).toBe(201);
      const answer = await connect(limited)
        .write(head(someone, expecting(100)))
        .receives(/\}$/);
      expect(answer).toMatch(/^HTTP\/1\.1 429 /);
      await limited.close();
    });
  });

  describe('the largest file', () => {
    const MAX = 300_000;
    let small: TestApp;
    let person: SignedIn;
    beforeAll(async () => {
      small = await startTestApp({ MAX_FILE_SIZE: String(MAX), USER_QUOTA: String(MAX) });
    });
    beforeEach(async () => {
      person = await aSignedInUser(small);
    });
    afterEach(() => small.pool.query('DELETE FROM users'));
    afterEach(() => small.app.get(Reconciler).sweep());
    afterAll(() => small.close());

    const sendChunked = (body: Buffer) =>
      connect(small)
        .write(head(person, [`Content-Type: ${FORM}`, 'Transfer-Encoding: chunked']), ...chunked(body))
        .receives(/HTTP\/1\.1 [2-5]\d\d[^]*\}$/);

    it('passes at exactly MAX_FILE_SIZE, which may be the whole quota', async () => {
      const answer = await post(form(fileOf(zipOfSize(MAX))), {}, person, small);
      expect([answer.status, ((await answer.json()) as any).file_size]).toEqual([201, MAX]);
      expect(await leftBy(small, person)).toMatchObject({ held: MAX, files: 1, rows: 1 });
    });

    it('passes in chunks', async () => {
      expect(await sendChunked(form(fileOf(zipOfSize(MAX))))).toMatch(/^HTTP\/1\.1 201 /);
      expect(await leftBy(small, person)).toMatchObject({ held: MAX, files: 1, rows: 1 });
    });

    it.each(['declared', 'in chunks'])('is one byte too large, %s: 413, and nothing is left', async (how) => {
      const body = form(fileOf(zipOfSize(MAX + 1)));
      if (how === 'declared') {
        const answer = await post(body, {}, person, small);
        expect([answer.status, ((await answer.json()) as any).error_code]).toEqual([413, 'file_too_large']);
      } else {
        const answer = await sendChunked(body);
        expect(answer).toMatch(/^HTTP\/1\.1 413 /);
        expect(answer).toContain('"file_too_large"');
      }
      await eventually(() => leftBy(small, person), NOTHING);
    });

    it('does not fit beside another: 507, and the first is whole', async () => {
      const first = await post(form(fileOf(zipOfSize(1000))), {}, person, small);
      expect(first.status).toBe(201);
      for (const send of [
        async () => (await post(form(fileOf(zipOfSize(MAX - 999))), {}, person, small)).status,
        async () => Number((await sendChunked(form(fileOf(zipOfSize(MAX - 999))))).slice(9, 12)),
      ]) {
        expect(await send()).toBe(507);
        await eventually(async () => ((await leftBy(small, person)) as any).held, 1000);
        expect(filesIn(small)).toHaveLength(1);
      }
      expect((await post(form(fileOf(zipOfSize(MAX - 1000))), {}, person, small)).status).toBe(201);
      expect(await leftBy(small, person)).toMatchObject({ held: MAX, files: 2 });
    });

    it("fits by the user's own quota instead of the default", async () => {
      await small.pool.query('UPDATE users SET quota = 10 WHERE id = $1', [person.id]);
      expect((await post(form(fileOf(Buffer.from('x'.repeat(11)), 'a.txt')), {}, person, small)).status).toBe(507);
      expect((await post(form(fileOf(Buffer.from('x'.repeat(10)), 'a.txt')), {}, person, small)).status).toBe(201);
    });
  });

  describe('in the middle', () => {
    const begin = async (to: TestApp, as: SignedIn, bytes = 200_000) => {
      const body = form(fileOf(zipOfSize(bytes)));
      const client = connect(to).write(
        head(as, [`Content-Type: ${FORM}`, `Content-Length: ${body.length}`]),
        body.subarray(0, 120_000),
      );
      const state = async () => (await leftBy(to, as)) as { held: number; rows: number; onDisk: string[] };
      await eventually(async () => {
        const { onDisk, rows } = await state();
        return [onDisk.length, rows];
      }, [1, 1]);
      return { client, rest: body.subarray(120_000) };
    };

    it.each(['ends the connection', 'resets it'])('a client that %s leaves nothing', async (how) => {
      const { client } = await begin(app, user);
      if (how === 'resets it') client.socket.resetAndDestroy();
      else client.socket.destroy();
      await eventually(() => leftBy(app, user), NOTHING);
      expect(completed).toEqual([]);
    });

    it('a client that says it is done too early leaves nothing', async () => {
      const { client } = await begin(app, user);
      client.socket.end();
      await client.closes();
      await eventually(() => leftBy(app, user), NOTHING);
    });

    it('a client that goes away while its space is being reserved leaves nothing', async () => {
      const connections = () =>
        new Promise<number>((resolve, reject) =>
          app.app
            .getHttpServer()
            .getConnections((error: Error | null, count: number) => (error ? reject(error) : resolve(count))),
        );
      const isWaiting = async () =>
        (
          await app.pool.query(
            `SELECT count(*)::int AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
          )
        ).rows[0].waiting;
      const holder = await app.pool.connect();
      try {
        await holder.query('BEGIN');
        await holder.query('SELECT id FROM users WHERE id = $1 FOR UPDATE', [user.id]);
        const client = connect().write(head(user, [`Content-Type: ${FORM}`, 'Content-Length: 100000']), FILE);
        await eventually(isWaiting, 1);
        const open = await connections();
        client.socket.resetAndDestroy();
        await eventually(connections, open - 1);
        await holder.query('COMMIT');
      } finally {
        holder.release();
      }
      await eventually(isWaiting, 0);
      await eventually(() => leftBy(app, user), NOTHING);
    });

    it('a disabled user gets no file', async () => {
      const { client, rest } = await begin(app, user);
      await app.pool.query('UPDATE users SET is_active = false WHERE id = $1', [user.id]);
      const answer = await client.write(rest).receives(/\}$/);
      expect(answer).toMatch(/^HTTP\/1\.1 (401|403|503) /);
      await eventually(() => leftBy(app, user), NOTHING);
      expect(completed).toEqual([]);
    });

    it.each([
      ['at the end', false],
      ['after a sweep', true],
    ])('a deleted user leaves no bytes %s', async (_when, isSwept) => {
      const { client, rest } = await begin(app, user);
      await app.http.delete('/api/v1/users/me').set(user.auth).send({ password: PASSWORD }).expect(204);
      if (isSwept) await app.app.get(Reconciler).sweep();
      const answer = await client.write(rest).receives(/\}$/);
      await app.app.get(Reconciler).sweep();
      const { rows } = await app.pool.query('SELECT id FROM uploads');
      expect(filesIn(app).sort()).toEqual(rows.map(({ id }) => id).sort());
      expect(answer).toMatch(/^HTTP\/1\.1 (401|404|503) /);
      expect((await app.pool.query('SELECT * FROM removed_blobs')).rows).toEqual([]);
      expect(completed).toEqual([]);
    });

    describe('with REQUEST_TIMEOUT=1', () => {
      let impatient: TestApp;
      beforeAll(async () => {
        impatient = await startTestApp({ REQUEST_TIMEOUT: '1' });
      });
      afterAll(() => impatient.close());

      it('a client that stalls is 408 and leaves nothing', async () => {
        const person = await aSignedInUser(impatient);
        const { client } = await begin(impatient, person);
        expect(await client.closes()).toMatch(/^HTTP\/1\.1 408 [^]*upload_stalled/);
        await eventually(() => leftBy(impatient, person), NOTHING);
      });

      it('a client that sends a byte now and then is 408 and leaves nothing', async () => {
        const person = await aSignedInUser(impatient);
        const { client } = await begin(impatient, person);
        const trickle = setInterval(() => client.write('x'), 50);
        try {
          expect(await client.closes()).toMatch(/^HTTP\/1\.1 408 /);
        } finally {
          clearInterval(trickle);
        }
        await eventually(() => leftBy(impatient, person), NOTHING);
      });

      it.each(['application/json', 'application/x-www-form-urlencoded', FORM])(
        'a guest who never finishes a body of type %s is cut off',
        async (type) => {
          const client = connect(impatient).write(head(null, [`Content-Type: ${type}`, 'Content-Length: 1000']), '{');
          // Begun later, on a route with a deadline: when that one has ended, this one must have ended as well.
          const reference = connect(impatient).write(
            head(null, ['Content-Type: application/json', 'Content-Length: 1000'], 'POST /api/v1/auth/login'),
            '{',
          );
          await reference.closes();
          await eventually(async () => client.socket.closed, true);
          expect(client.received).toMatch(/^HTTP\/1\.1 4\d\d /);
        },
      );

      it.each([
        ['text', 'text/plain', `POST /api/v1/auth/login`],
        ['JSON', 'application/json', `POST ${UPLOADS}`],
      ])(
        'a connection on which %s was refused is still good after the deadline of that request',
        async (_w, type, line) => {
          const client = connect(impatient).write(
            head(null, [`Content-Type: ${type}`, 'Content-Length: 2'], line),
            '{}',
          );
          await client.receives(/HTTP\/1\.1 4\d\d [^]*\}$/);
          const reference = connect(impatient).write(
            head(null, ['Content-Type: application/json', 'Content-Length: 1000'], 'POST /api/v1/auth/login'),
            '{',
          );
          await reference.closes();
          const { length } = client.received;
          client.write(head(null, [], 'GET /health'));
          await Promise.race([client.receives(/"ok"\}$/), client.closes()]);
          expect(client.received.slice(length)).toMatch(/^HTTP\/1\.1 200 /);
        },
      );
    });
  });

  describe('by a disk that is full', () => {
    const mount = (folder: string) =>
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' });
    const unmount = (folder: string) => execFileSync('umount', ['-l', folder], { stdio: 'ignore' });
    /** Tried and taken back at once, so that a run of other tests leaves nothing mounted. */
    const mayMount = (() => {
      const folder = mkdtempSync(join(tmpdir(), 'gatehouse-may-mount-'));
      try {
        mount(folder);
        unmount(folder);
        return true;
      } catch {
        return false;
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    })();
    let directory: string;
    beforeAll(() => {
      directory = mkdtempSync(join(tmpdir(), 'gatehouse-full-disk-'));
      mkdirSync(join(directory, 'files'));
      if (mayMount) mount(join(directory, 'files'));
    });
    afterAll(() => {
      if (mayMount) unmount(join(directory, 'files'));
      rmSync(directory, { recursive: true, force: true });
    });

    (mayMount ? it : it.skip)('are 507, leave nothing, and smaller ones go on (needs to mount a tmpfs)', async () => {
      const full = await startTestApp({ DATA_DIR: directory });
      try {
        const person = await aSignedInUser(full);
        for (const size of [3_000_000, 1_100_000]) {
          const answer = await post(form(fileOf(zipOfSize(size))), {}, person, full);
          const error = (await answer.json()) as any;
          expect([answer.status, error.error_code]).toEqual([507, 'storage_full']);
          await eventually(() => leftBy(full, person), NOTHING);
        }
        const small = await post(form(fileOf(zipOfSize(500_000))), {}, person, full);
        expect([small.status, ((await small.json()) as any).file_size]).toEqual([201, 500_000]);
      } finally {
        await full.close();
      }
    });
  });

  it('no upload is left pending', async () => {
    const { rows } = await app.pool.query("SELECT id FROM uploads WHERE state = 'pending'");
    expect(rows).toEqual([]);
  });
});
