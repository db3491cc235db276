// What the machine allows: the body of an upload, hashed and written as it comes, and as durable as the product's before it is answered.
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const { DATA_DIR, HOST, PORT } = process.env;

const methods = {
  GET: async () => [200, { status: 'ok' }],
  POST: async (request) => [201, await receive(request)],
  DELETE: async ({ url }) => [204, await unlink(join(DATA_DIR, url.split('/').at(-1)))],
};

async function receive(request) {
  const id = randomUUID();
  const unfinished = join(DATA_DIR, `${id}.unfinished`);
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(request, hashing, createWriteStream(unfinished));
  await withOpen(unfinished, (file) => file.datasync());
  await rename(unfinished, join(DATA_DIR, id));
  await withOpen(DATA_DIR, (folder) => folder.sync());
  return { id, sha256: hash.digest('hex') };
}

async function withOpen(path, work) {
  const handle = await open(path);
  await work(handle);
  await handle.close();
}

mkdirSync(DATA_DIR);
const server = createServer(async (request, response) => {
  const [status, body] = await methods[request.method](request);
  response.writeHead(status, { 'content-type': 'application/json' }).end(body && JSON.stringify(body));
});
process.once('SIGTERM', () => process.exit(0));
server.listen(Number(PORT), HOST);
