import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import pg from 'pg';
import { QueryFailedError } from 'typeorm';
import {
  isConnectionFailure,
  isConnectionLost,
  isServerUnusable,
  isStalePlan,
  isStatementTimeout,
} from '../../src/database/database-errors.js';

const failed = (given: object, message = 'no') => Object.assign(new Error(message), given);
const ofQuery = (given: object, message?: string) => new QueryFailedError('SELECT 1', [], failed(given, message));
const aggregate = (code: string) =>
  Object.assign(new AggregateError([failed({ code, syscall: 'connect' }), failed({ code, syscall: 'connect' })]), {
    code,
  });

describe('errors of the database', () => {
  it.each<readonly [string, unknown]>([
    ['of a name with two addresses', aggregate('ECONNREFUSED')],
    ['of such a name, of which only one says why', new AggregateError([failed({}), failed({ code: '57P03' })])],
    ...[
      'ECONNRESET',
      'EPIPE',
      'ETIMEDOUT',
      'EHOSTUNREACH',
      'ENETUNREACH',
      'ENOTFOUND',
      'EAI_AGAIN',
      'ECONNREFUSED',
    ].map((code) => [`${code} without a call`, failed({ code })] as const),
    ['of a query that was cut off', ofQuery({ code: 'ECONNRESET' })],
    ['of a query without an answer', ofQuery({}, 'Query read timeout')],
    ['of a server that ends', ofQuery({ code: '57P01' })],
  ])('tell that it is away: %s', (_name, error) => {
    expect([isConnectionFailure(error), isConnectionLost(error), isServerUnusable(error)]).toEqual([true, true, true]);
  });

  it('tell that it is away when it refuses TLS for want of a process', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write('E'));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const client = new pg.Client({ connectionString: `postgres://a:b@127.0.0.1:${port}/x?sslmode=no-verify` });
    client.on('error', () => undefined);
    try {
      const error = await client.connect().catch((thrown: unknown) => thrown);
      expect(isConnectionFailure(error)).toBe(true);
    } finally {
      client.connection.stream.destroy();
      server.close();
    }
  });

  it.each([
    ['a time limit', ofQuery({ code: '57014' }), true],
    ['a conflict with what a replica replays', ofQuery({ code: '40001' }), true],
    ['a pool that is full', failed({}, 'timeout exceeded when trying to connect'), true],
    ['a query that is wrong', ofQuery({ code: '42P01' }), false],
  ])('do not take %s for the end of a connection', (_name, error, isUnavailable) => {
    expect(isConnectionFailure(error)).toBe(isUnavailable);
    expect([isConnectionLost(error), isServerUnusable(error)]).toEqual([false, false]);
  });

  it.each(['28P01', '28000', '3D000', '57P04'])('tell with %s that the server lets nobody in', (code) => {
    expect(isServerUnusable(failed({ code }))).toBe(true);
  });

  it('tell a time limit of the server from an answer that has not come', () => {
    expect([
      isStatementTimeout(ofQuery({ code: '57014' })),
      isStatementTimeout(failed({}, 'Query read timeout')),
    ]).toEqual([true, false]);
  });

  it('tell what is prepared and no longer fits', () => {
    const stale = 'cached plan must not change result type';
    const errors = [
      ofQuery({ code: '26000' }),
      failed({ code: '0A000' }, stale),
      failed({ code: '0A000' }, 'not here'),
    ];
    expect(errors.map(isStalePlan)).toEqual([true, true, false]);
  });
});
