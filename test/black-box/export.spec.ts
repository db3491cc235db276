import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { HeldAnswer } from '../support/archives.js';
import { Program, temporaryDataDir } from '../support/program.js';
import { freePort, MIB, until } from '../support/uploads.js';

const ADMIN = { email: 'admin@example.com', password: 'Export-Everything-1' };
const FILE_BYTES = 100 * MIB;
const FILES = 3;
/** So many looks in a row, at which nothing has moved on. */
const STILL = 50;
/** What a server writes to its database and log meanwhile. */
const LITTLE_BYTES = 100_000;
/** What the buffers on the way hold: ours, and the kernel's for both ends of a connection. */
const BUFFERED_MAX = 40 * MIB;

it('sends 300 MB to a slow client in little memory', async () => {
  const data = temporaryDataDir();
  const port = await freePort();
  const program = new Program({
    PORT: String(port),
    DATA_DIR: data.path,
    BCRYPT_COST: '10',
    ADMIN_EMAIL: ADMIN.email,
    ADMIN_PASSWORD: ADMIN.password,
    MAX_FILE_SIZE: String(FILE_BYTES),
    ALLOWED_FILE_TYPES: '*',
  });
  const inProc = (file: string, name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${program.pid}/${file}`, 'utf8'))?.[1]);
  const written = () => inProc('io', 'wchar');
  const residentMib = () => inProc('status', 'VmRSS') / 1024;
  try {
    const http = await program.http();
    const { body } = await http.post('/api/v1/auth/login').send(ADMIN).expect(200);
    const headers = { Authorization: `Bearer ${body.access_token}` };
    const url = `http://127.0.0.1:${port}/api/v1/users/me/export`;
    // What is needed once is loaded before it is measured.
    await (await HeldAnswer.open(url, headers)).read();
    const content = randomBytes(FILE_BYTES);
    for (let n = 0; n < FILES; n++)
      await http.post('/api/v1/uploads').set(headers).attach('file', content, `${n}.bin`).expect(201);

    const before = { resident: residentMib(), written: written() };
    const held = await HeldAnswer.open(url, headers);
    // Until nothing moves any more: everything on the way is full.
    let [last, stillFor] = [before.written, 0];
    await until(() => {
      const now = written();
      const isMoving = now - last > LITTLE_BYTES || now < before.written + MIB;
      stillFor = isMoving ? 0 : stillFor + 1;
      if (isMoving) last = now;
      return stillFor === STILL;
    }, 'the server to wait for its client');
    expect(last - before.written).toBeLessThan(BUFFERED_MAX);
    let size = 0;
    let peak = residentMib();
    held.response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size % (8 * MIB) < chunk.length) peak = Math.max(peak, residentMib());
    });
    held.response.resume();
    await once(held.response, 'close');
    expect(held.response.complete).toBe(true);
    expect(size).toBeGreaterThan(FILES * FILE_BYTES);
    expect(peak - before.resident).toBeLessThan(100);
  } finally {
    await program.kill();
    data.remove();
  }
});
