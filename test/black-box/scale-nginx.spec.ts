import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { steadyPort } from '../support/broadcast-cluster.js';
import { hasNginx, NginxServer } from '../support/nginx-server.js';
import { callApi, from } from '../support/topology.js';

const UNSAFE = ['POST', 'PATCH', 'PUT', 'DELETE'];

/** What stands where a node would, and tells what has reached it. */
class Upstream {
  readonly requests: { method: string; headers: http.IncomingHttpHeaders; body: string }[] = [];
  /** Ends the connection instead of answering, when the request has come. */
  isDying = false;
  private readonly server = http.createServer((request, response) => {
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
      await upstream.start(await steadyPort());
    }
    nginx = new NginxServer(
      await steadyPort(),
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
    // One is found to be gone with each request.
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
    const addresses = Array.from({ length: 12 }, (_, at) => `127.0.0.${at + 50}`);
    for (let round = 0; round < 2; round++)
      for (const address of addresses) await send('GET', '/socket.io/?EIO=4&transport=polling', from(address));
    const nodesOf = new Map<string, Set<string>>();
    for (const { client, nodes } of nginx.passed())
      nodesOf.set(client, new Set([...(nodesOf.get(client) ?? []), ...nodes]));
    expect([...nodesOf.values()].map(({ size }) => size)).toEqual(addresses.map(() => 1));
    expect(new Set([...nodesOf.values()].flatMap((nodes) => [...nodes])).size).toBe(upstreams.length);
  });

  it('keeps the metrics of the nodes to itself', async () => {
    expect((await send('GET', '/metrics')).body).toMatchObject({ code: 404, error_code: 'not_found' });
    expect(count('GET')).toBe(0);
  });
});
