import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { hasNginx, NginxServer } from '../support/nginx-server.js';
import { callApi, from } from '../support/topology.js';
import { freePort } from '../support/uploads.js';

/** Where an upstream answers while a body still comes, and resets the connection. */
const REFUSED_EARLY = '/api/v1/refused-early';
const UNSAFE = ['POST', 'PATCH', 'PUT', 'DELETE'];

/** Sends these bytes as they are, and gives what comes back until that is a whole answer or the connection ends. */
function exchange(url: string, ...pieces: (string | Buffer)[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(Number(new URL(url).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (data: Buffer) => {
      answer += data.toString();
      const [head, ...body] = answer.split('\r\n\r\n');
      const length = /^content-length: (\d+)$/im.exec(head)?.[1];
      if (body.length > 0 && length && body.join('').length >= Number(length)) socket.destroy();
    });
    // Whoever is refused early may be reset: what matters is what came before.
    socket.on('error', () => undefined).on('close', () => resolve(answer));
    for (const piece of pieces) socket.write(piece);
  });
}

const statusOf = (answer: string) => Number(answer.split(' ')[1]);
const bodyOf = (answer: string): unknown => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));

/** What stands where a node would, and tells what has reached it. */
class Upstream {
  readonly requests: { method: string; headers: http.IncomingHttpHeaders; body: string }[] = [];
  /** Ends the connection instead of answering, when the request has come. */
  isDying = false;
  private readonly server = http.createServer((request, response) => {
    if (request.url === REFUSED_EARLY) {
      // What has come and was not read makes the end of the connection a reset.
      request.socket.write('HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n', () =>
        request.socket.destroy(),
      );
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      this.requests.push({
        method: request.method ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      });
      if (this.isDying) request.socket.destroy();
      else response.end('{}');
    });
  });

  async start(port: number): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve));
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

if (!hasNginx()) process.emitWarning('The tests of the configuration of nginx are left out: install nginx-light');

(hasNginx() ? describe : describe.skip)('the configuration of nginx', () => {
  const upstreams = [new Upstream(), new Upstream(), new Upstream()];
  let nginx: NginxServer;

  const count = (method: string) =>
    upstreams.flatMap(({ requests }) => requests).filter((one) => one.method === method).length;
  const send = (method: string, path = '/api/v1/anything', agent?: http.Agent, headers?: object) =>
    callApi(`${nginx.url}${path}`, {
      method,
      agent,
      headers: { ...headers },
      ...(method !== 'GET' && { body: { some: 'thing' } }),
    });

  beforeEach(async () => {
    for (const upstream of upstreams) {
      upstream.requests.length = 0;
      upstream.isDying = false;
      await upstream.start(await freePort());
    }
    nginx = new NginxServer(
      await freePort(),
      upstreams.map(({ port }) => ({ port })),
    );
    await nginx.start();
  });

  afterEach(async () => {
    await nginx.remove();
    for (const upstream of upstreams) await upstream.stop();
  });

  it.each(UNSAFE)('a %s that a node has got is not sent to another one, whatever has become of it', async (method) => {
    for (const upstream of upstreams) upstream.isDying = true;
    const { status, body } = await send(method);
    expect([status, body]).toEqual([502, { ...body, status: 'error', code: 502, error_code: 'bad_gateway' }]);
    expect(count(method)).toBe(1);
  });

  it('a GET is', async () => {
    upstreams[0].isDying = upstreams[1].isDying = true;
    for (let at = 0; at < 3; at++) expect((await send('GET')).status).toBe(200);
    expect(count('GET')).toBeGreaterThan(3);
  });

  it.each([...UNSAFE, 'GET'])('a %s that no node has got goes to one that is there, whole', async (method) => {
    const [alive, ...gone] = upstreams;
    for (const upstream of gone) await upstream.stop();
    for (let at = 1; at <= 3; at++) {
      expect((await send(method)).status).toBe(200);
      expect(alive.requests).toHaveLength(at);
    }
    if (method !== 'GET')
      expect(new Set(alive.requests.map(({ body }) => body))).toEqual(new Set(['{"some":"thing"}']));
  });

  it('tells whose request it is, and does not believe the client', async () => {
    await send('GET', '/api/v1/health', from('127.0.0.9'), {
      'X-Forwarded-For': '203.0.113.7',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Host': 'elsewhere.example',
      Host: 'gatehouse.example:8443',
      Upgrade: 'h2c',
    });
    const [{ headers }] = upstreams.flatMap(({ requests }) => requests);
    expect(headers).toMatchObject({
      'x-forwarded-for': '203.0.113.7, 127.0.0.9',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'gatehouse.example:8443',
      host: 'gatehouse.example:8443',
    });
    expect([headers.upgrade, headers.connection]).toEqual([undefined, undefined]);
  });

  it('keeps the sockets of a client at one node, and clients at all of them', async () => {
    const addresses = Array.from({ length: 60 }, (_, at) => `127.0.0.${at + 50}`);
    for (let round = 0; round < 2; round++)
      for (const address of addresses) await send('GET', '/socket.io/?EIO=4&transport=polling', from(address));
    const nodesOf = new Map<string, Set<string>>();
    for (const { client, nodes } of nginx.passed())
      nodesOf.set(client, new Set([...(nodesOf.get(client) ?? []), ...nodes]));
    expect([...nodesOf.values()].map(({ size }) => size)).toEqual(addresses.map(() => 1));
    expect(new Set([...nodesOf.values()].flatMap((nodes) => [...nodes])).size).toBe(upstreams.length);
  });

  it.each(['/metrics', '/metrics/'])('keeps the metrics of the nodes to itself: %s', async (path) => {
    expect((await send('GET', path)).body).toMatchObject({ code: 404, error_code: 'not_found' });
    expect(count('GET')).toBe(0);
  });

  it('takes no node away from everybody because of one client whose bodies are refused early', async () => {
    const head = `POST ${REFUSED_EARLY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 60000000\r\n\r\n`;
    const megabyte = Buffer.alloc(1_048_576);
    for (let at = 0; at < 2 * upstreams.length; at++)
      expect(statusOf(await exchange(nginx.url, head, megabyte))).toBeGreaterThan(399);
    const others = ['GET', 'POST', 'PUT', 'GET', 'PATCH', 'DELETE', 'GET'];
    for (const method of others) expect([method, (await send(method)).status]).toEqual([method, 200]);
    for (const address of ['127.0.0.50', '127.0.0.51', '127.0.0.52', '127.0.0.53'])
      expect((await send('GET', '/socket.io/?EIO=4&transport=polling', from(address))).status).toBe(200);
  });

  it.each(['PUT', 'DELETE'])(
    'keeps no more of a %s than a node would take, whether its length is told or not',
    async (method) => {
      const head = `${method} /api/v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;
      const told = await exchange(nginx.url, `${head}Content-Length: 3000000\r\n\r\n`, Buffer.alloc(1000));
      const chunk = Buffer.alloc(2_200_000, ' ');
      const untold = await exchange(
        nginx.url,
        `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.length.toString(16)}\r\n`,
        chunk,
        '\r\n0\r\n\r\n',
      );
      for (const answer of [told, untold])
        expect([statusOf(answer), bodyOf(answer)]).toEqual([
          413,
          expect.objectContaining({ error_code: 'body_too_large' }),
        ]);
      expect(count(method)).toBe(0);
      const taken = await exchange(nginx.url, `${head}Content-Length: 1048577\r\n\r\n`, Buffer.alloc(1_048_577));
      expect([statusOf(taken), count(method)]).toEqual([200, 1]);
    },
  );

  it('limits no other body', async () => {
    const head = 'POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n';
    expect(statusOf(await exchange(nginx.url, head, Buffer.alloc(3_000_000)))).toBe(200);
  });

  it('answers by itself as the nodes would', async () => {
    for (const upstream of upstreams) await upstream.stop();
    const { status, headers, body } = await send('GET');
    expect([status, body]).toEqual([
      502,
      {
        detail: 'No node has answered',
        status: 'error',
        code: 502,
        error_code: 'bad_gateway',
        request_id: headers['x-request-id'],
      },
    ]);
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'retry-after': '1',
      'content-type': 'application/json',
    });
  });

  it.each([
    ['no request at all', 'Nothing of the kind\r\n\r\n', 400, 'malformed_request'],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'malformed_request',
    ],
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'method_not_allowed'],
    ['too long an address', `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414, 'request_failed'],
    ['too large headers', `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(40_000)}\r\n\r\n`, 431, 'headers_too_large'],
  ])('answers to %s with the body of errors', async (_what, request, status, code) => {
    const answer = await exchange(nginx.url, request);
    expect(statusOf(answer)).toBe(status);
    expect(bodyOf(answer)).toEqual({
      detail: expect.any(String),
      status: 'error',
      code: status,
      error_code: code,
      request_id: /^x-request-id: (\w+)\r$/im.exec(answer)?.[1],
    });
  });

  it('passes on a request of HTTP/1.0, which has no host', async () => {
    expect(statusOf(await exchange(nginx.url, 'GET /api/v1/health HTTP/1.0\r\n\r\n'))).toBe(200);
    expect(upstreams.flatMap(({ requests }) => requests)[0].headers.host).toBe('localhost');
  });

  it('passes the path of sockets on without the slash at its end, too', async () => {
    expect((await send('GET', '/socket.io?EIO=4&transport=polling')).status).toBe(200);
  });
});
