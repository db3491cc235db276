// What Node gives for nothing: a stream of the file at its default chunk size.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

const { FOLDER, HOST, PORT } = process.env;

const server = createServer(async ({ url }, response) => {
  if (url === '/health') return response.end('ok');
  const path = join(FOLDER, url);
  const { size } = await stat(path);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  createReadStream(path).pipe(response);
});
process.once('SIGTERM', () => process.exit(0));
server.listen(Number(PORT), HOST);
