import type { IncomingMessage } from 'node:http';
import { ownerOf } from '../../src/broadcasting/gateway/worker-relay.js';

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
