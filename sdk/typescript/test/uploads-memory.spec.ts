import { execFile } from 'node:child_process';
import { createWriteStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { MIB } from '../../../test/support/uploads.js';
import { installedClient } from './installed.js';
import { TestServer } from './support.js';

const SIZE = 300 * MIB;
/** A process that has loaded the client takes less than 100 MiB, one that kept the file more than 380. */
const PEAK_MAX = 230 * MIB;

/** Sends a file up and takes it down again, and says what that took. */
const PROGRAM = `
import { createHash } from 'node:crypto';
import { createReadStream, openAsBlob } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { Gatehouse } from '@gatehouse/client';
const [baseURL, apiKey, path, way] = process.argv.slice(2);
const api = new Gatehouse({ baseURL, apiKey });
// What the system counts as the maximum begins with that of the process which has started this one.
let peak = 0;
setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 10).unref();
const { size } = await stat(path);
const hashOf = async (chunks) => {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return 'sha256:' + hash.digest('hex');
};
const expected = await hashOf(createReadStream(path));
const source = way.includes('stream') ? Readable.toWeb(createReadStream(path)) : await openAsBlob(path);
const { id, file_hash } = await api.uploads.create(source, {
  size,
  filename: 'large.txt',
  resumable: way.includes('resumable'),
  ...(way.includes('watched') && { onProgress: () => undefined }),
});
const { body } = await api.uploads.download(id);
const received = await hashOf(body);
await api.uploads.delete(id);
console.log(JSON.stringify({ isWhole: file_hash === expected && received === expected, peak }));
`;

describe('a file of 300 MiB on disk', () => {
  const client = installedClient();
  const path = join(client.path, 'large.txt');
  let server: TestServer;
  let key: string;

  beforeAll(async () => {
    server = await TestServer.start({ MAX_FILE_SIZE: String(SIZE), USER_QUOTA: String(2 * SIZE) });
    ({ key } = await (await server.user()).api.users.apiKeys.create({ name: 'large' }));
    const line = Buffer.from(`${'a line of text '.repeat(69_905)}\n`.padEnd(MIB, '.'));
    const lines = Array.from({ length: SIZE / MIB }, () => line);
    await pipeline(Readable.from(lines), createWriteStream(path));
    writeFileSync(join(client.path, 'large.mjs'), PROGRAM);
  });
  afterAll(async () => {
    await server.stop();
    client.remove();
  });

  it.each(['at once', 'at once, watched', 'at once, as a stream', 'resumable, watched', 'resumable, as a stream'])(
    'goes up and comes down without being kept in memory: %s',
    async (way) => {
      const limits = ['--max-old-space-size=48', '--no-warnings'];
      const args = [...limits, join(client.path, 'large.mjs'), server.url, key, path, way];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      const { isWhole, peak } = JSON.parse(stdout);
      expect(isWhole).toBe(true);
      expect(peak).toBeLessThan(PEAK_MAX);
    },
  );
});
