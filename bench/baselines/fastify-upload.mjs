// What most tutorials do: a streaming parser, a file, an answer. No hash, and nothing is certain to be on the disk.
import { randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Busboy } from '@fastify/busboy';
import fastify from 'fastify';

const { DATA_DIR, HOST, PORT } = process.env;
const server = fastify({ logger: false });

server.addContentTypeParser('multipart/form-data', (_request, _payload, done) => done(null));

server.get('/health', () => ({ status: 'ok' }));

server.post('/uploads', (request, reply) => {
  const id = randomUUID();
  const parser = new Busboy({ headers: request.headers });
  parser.on('file', async (_name, stream) => {
    await pipeline(stream, createWriteStream(join(DATA_DIR, id)));
    reply.code(201).send({ id });
  });
  request.raw.pipe(parser);
  return reply;
});

server.delete('/uploads/:id', async ({ params }, reply) => {
  await unlink(join(DATA_DIR, params.id));
  return reply.code(204).send();
});

mkdirSync(DATA_DIR);
process.once('SIGTERM', () => process.exit(0));
await server.listen({ host: HOST, port: Number(PORT) });
