import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Worker as Thread } from 'node:worker_threads';
import { ownerOf, WorkerRelay } from '../../src/broadcasting/gateway/worker-relay.js';
import { temporaryDataDir } from '../support/program.js';

const owner = (url: string) => ownerOf({ url } as IncomingMessage);

describe('whose session a request is of', () => {
  it.each([
    ['/socket.io/?EIO=4&transport=polling&sid=abc-_9.12', 12],
    ['/socket.io/?sid=abc.3&EIO=4&transport=websocket', 3],
    // The last one counts, as for the engine.
    ['/socket.io/?EIO=4&sid=a.1&sid=b.2', 2],
    ['/socket.io/?EIO=4&sid=a%2e7', 7],
  ])('%s', (url, id) => expect(owner(url)).toBe(id));

  // A handshake has no session: it stays where its address is known.
  it.each([
    '/socket.io/?EIO=4&transport=polling',
    '/socket.io/?EIO=4&transport=polling&sid=',
    '/socket.io/?EIO=4&transport=polling&sid=a.2&sid=',
    '/socket.io/?EIO=4&transport=polling#&sid=a.2',
    '/socket.io/?EIO=4&transport=polling&xsid=a.2',
    '/socket.io?EIO=4&sid=a.2',
    '/socket.io/?EIO=4&sid=a.2.x',
    '/socket.io/?EIO=4&sid=../../a.2',
    '/socket.io/?EIO=4&sid=a.99999999999',
    '/api/v1/users?sid=a.2',
    'http://elsewhere/socket.io/?sid=a.2',
  ])('nobody: %s', (url) => expect(owner(url)).toBeNull());
});

/**
 * The client and the owner of its session. When all but the last byte of the request has come through, and the relay waits for it, the
 * owner gets the last byte sent, answers, and has the connection closed if it was asked to.
 */
const CLIENT_AND_OWNER = `
  const { createServer, request } = require('node:http');
  const { parentPort, workerData: { socketPath, port, signals } } = require('node:worker_threads');
  let sending;
  const owner = createServer((received, response) => {
    received.once('data', () => {
      Atomics.store(signals, 0, 1);
      Atomics.wait(signals, 1, 0);
      sending.end('1');
      response.end('ok');
      const goOn = () => Atomics.store(signals, 2, 1);
      received.socket.once('close', goOn);
      if (response.shouldKeepAlive) response.once('finish', () => setImmediate(goOn));
    });
  });
  owner.listen(socketPath, () => {
    const path = '/socket.io/?EIO=4&transport=polling&sid=a.2';
    sending = request({ port, path, method: 'POST', headers: { 'Content-Length': 11 }, agent: false });
    sending.on('error', ({ message }) => parentPort.postMessage(message));
    sending.on('response', (response) => response.setEncoding('utf8').on('data', (text) => parentPort.postMessage(text)));
    sending.write('0123456789');
  });
`;

it('an answer that comes before the end of the body reaches the client', async () => {
  const directory = temporaryDataDir();
  const server = createServer();
  const worker = { id: 1, socketOf: (id: number) => join(directory.path, `${id}.sock`) };
  const relay = new WorkerRelay(worker, server, {} as never);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const signals = new Int32Array(new SharedArrayBuffer(12));
  const { port } = server.address() as AddressInfo;
  const thread = new Thread(CLIENT_AND_OWNER, {
    eval: true,
    workerData: { socketPath: worker.socketOf(2), port, signals },
  });
  const told = once(thread, 'message');
  const timer = setInterval(() => {
    if (Atomics.load(signals, 0) === 0) return;
    clearInterval(timer);
    Atomics.store(signals, 1, 1);
    Atomics.notify(signals, 1);
    // A process that is busy finds the last byte and the answer at the same time.
    const deadline = Date.now() + 10_000;
    while (Atomics.load(signals, 2) === 0 && Date.now() < deadline);
  }, 1);
  try {
    expect(await told).toEqual(['ok']);
  } finally {
    clearInterval(timer);
    await thread.terminate();
    relay.close();
    server.closeAllConnections();
    server.close();
    directory.remove();
  }
});
