import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ConnectionDrain } from '../../src/server/connection-drain.js';

const IDLE_MS = 100;
const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

describe('ConnectionDrain', () => {
  it('answers what came on an idle connection while the process was held up for longer than that is kept', async () => {
    const drain = new ConnectionDrain(IDLE_MS);
    const server = createServer({ ServerResponse: drain.Response }, (_request, response) => void response.end('done'));
    drain.watch(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    let received = '';
    client.on('data', (bytes: Buffer) => (received += bytes.toString()));
    client.write(REQUEST);
    while (!received.includes('done')) await nextTurn();
    received = '';

    const closed = drain.begin().then(() => server.closeIdleConnections());
    while (server.listening) await nextTurn();
    client.write(REQUEST);
    const end = performance.now() + 2 * IDLE_MS;
    while (performance.now() < end);
    await closed;
    if (!client.closed) await new Promise((resolve) => client.once('close', resolve));
    expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n[^]*done$/i);
  });

  it('stops listening right after a look for new connections, not at the end of a turn that took long', async () => {
    const drain = new ConnectionDrain(IDLE_MS);
    const server = createServer({ ServerResponse: drain.Response });
    drain.watch(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    let turn = 0;
    let wasLong: boolean | null = null;
    const work = () => {
      if (!server.listening) return;
      wasLong = ++turn % 10 > 0;
      const end = performance.now() + (wasLong ? 1 : 0);
      while (performance.now() < end);
      setImmediate(work);
    };

    work();
    await drain.begin();
    expect(server.listening).toBe(false);
    expect(wasLong).toBe(false);
  });
});
