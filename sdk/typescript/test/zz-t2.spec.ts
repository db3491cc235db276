import { TestServer } from './support.js';
it('cors', async () => {
  const server = await TestServer.start({ CORS_ORIGINS: 'http://localhost:8080' });
  const r = await fetch(server.url + '/api/v1/uploads/resumable', { method: 'OPTIONS' });
  process.stderr.write('CORS ' + r.status + ' ' + (await r.text()) + ' ' + r.headers.get('tus-max-size') + '\n');
  await server.stop();
}, 60000);
