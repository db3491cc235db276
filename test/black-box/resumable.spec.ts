import { DefaultHttpStack, Upload } from 'tus-js-client';
import { Program, temporaryDataDir } from '../support/program.js';
import {
  call,
  Dice,
  freePort,
  idOf,
  Line,
  MIB,
  sha256,
  sizeOf,
  storedFiles,
  TusCalls,
  unfinishedPath,
  until,
} from '../support/uploads.js';

/** The program brings what has come to the disk, and says so to the database, after so many bytes. */
const CHECKPOINT = 16 * MIB;
const RESUMABLE = '/api/v1/uploads/resumable';
const account = { email: 'sender@example.com', username: 'sender', password: 'SecurePass123!' };

describe('a resumable upload, when the program is killed with -9 in the middle of a PATCH', () => {
  const data = temporaryDataDir();
  const content = new Dice(11).text(40 * MIB);
  const programs: Program[] = [];
  let environment: Record<string, string>;
  let url: string;
  let line: Line;
  let auth: { Authorization: string };

  async function start(): Promise<Program> {
    const program = new Program(environment);
    programs.push(program);
    await program.says(/listening on/);
    return program;
  }

  const post = (path: string) => {
    const headers = { 'Content-Type': 'application/json' };
    return call(`${url}/api/v1/auth/${path}`, { method: 'POST', headers }, Buffer.from(JSON.stringify(account)));
  };

  beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    environment = {
      PORT: String(port),
      HOST: '127.0.0.1',
      DATA_DIR: data.path,
      BCRYPT_COST: '10',
      RATE_LIMIT_ENABLED: 'false',
      MAX_FILE_SIZE: String(64 * MIB),
    };
    line = await Line.to(port);
    await start();
    await post('register');
    auth = { Authorization: `Bearer ${(await post('login')).body.access_token}` };
  });

  afterAll(async () => {
    await line.close();
    await Promise.all(programs.map((program) => program.kill()));
    data.remove();
  });

  const get = (path: string) => call(`${url}/api/v1${path}`, { method: 'GET', headers: auth });

  /** By the client, over a line that takes no more after so many bytes. */
  function send(heldAfter: number) {
    const answers: { method: string; status: number; offset: number }[] = [];
    let settle!: { resolve: () => void; reject: (error: Error) => void };
    const done = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
    const client = new Upload(content, {
      endpoint: `${line.url}${RESUMABLE}`,
      headers: auth,
      metadata: { filename: 'large.txt', filetype: 'text/plain' },
      // As long as the next start takes.
      retryDelays: Array<number>(1_200).fill(100),
      httpStack: new DefaultHttpStack({ agent: false }),
      onAfterResponse: (request, response) => {
        const offset = Number(response.getHeader('Upload-Offset'));
        answers.push({ method: request.getMethod(), status: response.getStatus(), offset });
      },
      onSuccess: () => settle.resolve(),
      onError: (error) => settle.reject(error),
    });
    line.holdAfter(heldAfter);
    client.start();
    return { client, done, answers };
  }

  it('goes on by the client’s own retries from what was durable, unlocked, and is whole in the end', async () => {
    const { client, done, answers } = send(CHECKPOINT + 6 * MIB);
    const bytesThere = () => (client.url ? sizeOf(unfinishedPath(data.path, idOf(client.url))) : -1);
    // What comes after a checkpoint is written after it was recorded.
    await until(() => bytesThere() > CHECKPOINT + 4 * MIB, 'more than a checkpoint');
    await programs[0].kill();
    line.break();
    const before = answers.length;
    await start();
    await done;
    const after = answers.slice(before);
    expect(after.map(({ method, status }) => [method, status])).toEqual([
      ['HEAD', 200],
      ['PATCH', 204],
    ]);
    expect(after[0].offset).toBeGreaterThanOrEqual(CHECKPOINT);
    expect(after[0].offset).toBeLessThan(CHECKPOINT + 6 * MIB);
    const id = idOf(client.url ?? '');
    const { status, body } = await get(`/uploads/${id}`);
    expect([status, body.file_hash, body.file_size]).toEqual([200, sha256(content), content.length]);
    expect(sha256((await get(`/uploads/${id}/download`)).body)).toBe(sha256(content));
    expect(storedFiles(data.path)).toEqual({ published: [id], unfinished: [] });
    expect((await get('/users/me')).body.stats).toEqual({ total_uploads: 1, total_storage_used: content.length });
  });

  it('keeps every offset that a client was told', async () => {
    const tus = new TusCalls(url, auth);
    const small = content.subarray(0, 5000);
    const created = await tus.create(small.length, { filename: 'small.txt' });
    const location = created.headers.location ?? '';
    const { headers } = await tus.patch(location, 0, small.subarray(0, 1234));
    expect(headers['upload-offset']).toBe('1234');
    await programs[1].kill();
    await start();
    expect(await tus.offset(location)).toBe(1234);
    expect((await tus.patch(location, 1234, small.subarray(1234))).status).toBe(204);
    expect((await get(`/uploads/${idOf(location)}`)).body.file_hash).toBe(sha256(small));
  });
});
