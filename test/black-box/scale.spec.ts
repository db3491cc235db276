import { once } from 'node:events';
import type http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Socket } from 'socket.io-client';
import { DefaultHttpStack, Upload } from 'tus-js-client';
import { ask, connectTo, SocketReader, StreamReader } from '../support/broadcast-clients.js';
import type { ClusterUser } from '../support/broadcast-cluster.js';
import { outputsOf, printed, session } from '../support/readme.js';
import { callApi, from, missingPackages, Topology } from '../support/topology.js';
import { beginUpload, Dice, idOf, MIB, seedOfRun, sendFile, sha256, until } from '../support/uploads.js';

const SEED = seedOfRun();
const WITHIN_MS = 60_000;
const ANONYMOUS_LIMIT = 100;
const QUOTA = 60 * MIB;
/** One each of what a client may speak. */
const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']];

const missing = missingPackages();
if (missing.length > 0) process.emitWarning(`The scale tests are left out: install ${missing.join(' ')}`);

(missing.length > 0 ? describe.skip : describe)(`three nodes behind nginx, with Redis and S3, seed ${SEED}`, () => {
  const dice = new Dice(SEED);
  let topology: Topology;
  let user: ClusterUser;
  const opened: { close(): unknown }[] = [];
  const opening = <T extends { close(): unknown }>(what: T): T => {
    opened.push(what);
    return what;
  };
  const auth = () => ({ Authorization: `Bearer ${user.token}` });
  const publish = (channel: string, more: object = {}) => {
    const body = { channel, event: 'test', data: { some: 'thing' }, ...more };
    return topology.call('/broadcasting/messages', { method: 'POST', token: topology.admin.token, body }, 201);
  };
  /** Of the requests that nginx has passed on since. */
  const nodesOf = (from: number, isMeant: (path: string, method: string) => boolean) =>
    new Set(
      topology.nginx
        .passed()
        .slice(from)
        .filter(({ path, method }) => isMeant(path, method))
        .flatMap(({ nodes }) => nodes),
    );
  const passed = () => topology.nginx.passed().length;

  async function socketFrom(address: string, { token }: ClusterUser, transports = ['websocket']): Promise<Socket> {
    const agent = from(address) as never;
    const socket = opening(connectTo(topology.url, token, { transports, agent }));
    await once(socket as never, 'connect');
    return socket;
  }

  beforeAll(async () => {
    topology = await Topology.start({ USER_QUOTA: String(QUOTA), RATE_LIMIT_ANONYMOUS: `${ANONYMOUS_LIMIT}/60` });
    user = await topology.aUser('somebody');
  });

  afterEach(() => {
    for (const what of opened.splice(0)) what.close();
    expect(topology?.nodes.flatMap(({ faults }) => faults)).toEqual([]);
  });

  afterAll(() => topology?.end());

  describe('REST', () => {
    it('serves users and admins, from all nodes', async () => {
      const before = passed();
      const { token } = user;
      for (let at = 0; at < 6; at++) {
        const full_name = `Name ${at}`;
        await topology.call('/users/me', { method: 'PATCH', token, body: { full_name } });
        expect(await topology.call('/users/me', { token })).toMatchObject({ username: 'somebody', full_name });
      }
      const { token: admin } = topology.admin;
      expect(await topology.call('/users?search=somebody', { token: admin })).toMatchObject({ total: 1 });
      expect(await topology.call('/admin/users?search=somebody', { token: admin })).toMatchObject({ total: 1 });
      await topology.call('/admin/users', { token }, 403);
      expect(nodesOf(before, (path) => path.startsWith('/api/v1/')).size).toBeGreaterThan(1);
    });

    it('ends all sessions at once at each node', async () => {
      const leaving = await topology.aUser('leaving');
      const again = await topology.signIn({ email: 'leaving@example.com', password: 'SecurePass123!' });
      const statuses = async () =>
        Promise.all(
          topology.nodes.flatMap(({ url }) =>
            [leaving, again].map(async ({ token }) => (await callApi(`${url}/api/v1/users/me`, { token })).status),
          ),
        );
      expect(new Set(await statuses())).toEqual(new Set([200]));
      await topology.call('/auth/logout-all', { method: 'POST', token: again.token }, 204);
      expect(new Set(await statuses())).toEqual(new Set([401]));
    });

    it('counts a limit exactly over all nodes, for each client apart', async () => {
      const before = passed();
      const path = `${topology.url}/api/v1/users/me`;
      const burst = async (address: string) => {
        const agent = from(address, { keepAlive: true, maxSockets: 12 });
        const all = await Promise.all(Array.from({ length: ANONYMOUS_LIMIT + 30 }, () => callApi(path, { agent })));
        agent.destroy();
        return all;
      };
      let answers = await burst('127.0.0.90');
      const letIn = () => answers.filter(({ status }) => status === 401);
      // A node that Redis has not answered within 50 ms counts for itself, for a second.
      for (let more = 1; more <= 5 && letIn().length !== ANONYMOUS_LIMIT; more++) {
        await delay(1_500);
        answers = await burst(`127.0.0.${100 + more}`);
      }
      expect(letIn()).toHaveLength(ANONYMOUS_LIMIT);
      const refused = answers.filter(({ status }) => status === 429);
      expect(refused).toHaveLength(30);
      expect(Number(refused[0].headers['retry-after'])).toBeGreaterThan(0);
      expect(nodesOf(before, (url) => url === '/api/v1/users/me').size).toBe(3);
      expect((await callApi(path, { agent: from('127.0.0.91') })).status).toBe(401);
    });

    it('passes errors on as they are, body and headers', async () => {
      const json = { 'Content-Type': 'application/json' };
      const bad = Buffer.from('{"channel": ');
      const requests: [string, string, http.OutgoingHttpHeaders, Buffer?][] = [
        ['GET', '/api/v1/users/me', {}],
        ['GET', '/api/v1/uploads/none', auth()],
        ['GET', '/api/v1/nothing', auth()],
        ['DELETE', '/api/v1/users', auth()],
        ['PUT', '/api/v1/users/me', { ...auth(), ...json }, Buffer.from('{"nothing": 1}')],
        ['POST', '/api/v1/broadcasting/messages', { ...auth(), ...json }, bad],
        ['POST', '/api/v1/broadcasting/messages', { ...auth(), 'Content-Type': 'text/plain' }, bad],
        ['POST', '/api/v1/broadcasting/messages', { ...auth(), ...json }, Buffer.alloc(2 * MIB, ' ')],
        ['GET', '/api/v1/users/me', { 'X-Padding': 'x'.repeat(20_000) }],
      ];
      const changing = /^(date|connection|keep-alive|server|x-request-id|x-ratelimit.*|ratelimit.*|retry-after)$/;
      for (const [method, path, headers, bytes] of requests) {
        const length = bytes && { 'Content-Length': bytes.length };
        const [direct, proxied] = await Promise.all(
          [topology.nodes[0].url, topology.url].map((url) =>
            callApi(url + path, { method, headers: { ...headers, ...length } }, bytes),
          ),
        );
        const shown = ({ status, headers: all, body }: typeof direct) => ({
          status,
          body: { ...body, request_id: '' },
          headers: Object.fromEntries(Object.entries(all).filter(([name]) => !changing.test(name))),
        });
        expect(shown(proxied)).toEqual(shown(direct));
        expect(proxied.status).toBeGreaterThanOrEqual(400);
        expect(proxied.body.request_id).toBeTruthy();
      }
    });

    it('knows the client’s own address, whatever it says', async () => {
      const headers = { 'X-Forwarded-For': '203.0.113.7' };
      const guest = await topology.aUser('guest');
      await topology.signIn(
        { email: 'guest@example.com', password: 'SecurePass123!' },
        { agent: from('127.0.0.92'), headers },
      );
      const { items } = await topology.call('/admin/audit-log?size=100', { token: topology.admin.token });
      const addresses = items
        .filter(({ actor_id }: { actor_id: string }) => actor_id === guest.id)
        .map(({ ip_address }: { ip_address: string }) => ip_address);
      expect(addresses).toContain('127.0.0.92');
      expect(addresses).not.toContain('203.0.113.7');
    });

    it('runs the sessions in the README as they are printed', async () => {
      const first = session('session');
      expect(await outputsOf(first, topology.url)).toEqual(printed(first));
      for (const name of ['files', 'resumable']) {
        const steps = session(name);
        expect((await outputsOf([first[1], ...steps], topology.url)).slice(1)).toEqual(printed(steps));
      }
    });
  });

  describe('uploads', () => {
    const upload = (content: Buffer, name = 'file.txt') =>
      sendFile(`${topology.url}/api/v1/uploads`, auth(), { name, content });
    const get = (path: string, headers: object = {}) =>
      callApi(`${topology.url}/api/v1/uploads/${path}`, { headers: { ...auth(), ...headers } });

    it('stores a form, and gives it back, in parts too, and by link, from any node', async () => {
      const content = dice.text(9 * MIB);
      const { body: file } = (await upload(content)) as any;
      expect(file).toMatchObject({ file_size: content.length, file_hash: sha256(content) });
      expect(sha256((await get(`${file.id}/download`)).body)).toBe(sha256(content));
      const part = await get(`${file.id}/download`, { Range: 'bytes=5000000-5000999' });
      expect([part.status, part.headers['content-range']]).toEqual([206, `bytes 5000000-5000999/${content.length}`]);
      expect(part.body.equals(content.subarray(5_000_000, 5_001_000))).toBe(true);
      const body = { expires_in: 60 };
      const { url } = await topology.call(`/uploads/${file.id}/signed-url`, {
        method: 'POST',
        token: user.token,
        body,
      });
      expect(url.startsWith(`${topology.url}/`)).toBe(true);
      expect(sha256((await callApi(url)).body)).toBe(sha256(content));
      for (const node of topology.nodes) {
        const direct = await callApi(`${node.url}/api/v1/uploads/${file.id}/download`, { token: user.token });
        expect(sha256(direct.body)).toBe(sha256(content));
      }
      await topology.call(`/uploads/${file.id}`, { method: 'DELETE', token: user.token }, 204);
    });

    it('passes an upload on while it comes, and its refusal before it is whole', async () => {
      const before = passed();
      const sending = beginUpload(`${topology.url}/api/v1/uploads`, auth(), 100 * MIB);
      for (let sent = 0; sent < 100; sent++) if (!(await sending.write(Buffer.alloc(64 * 1024, 'x')))) break;
      const answer = await sending.answer;
      expect([answer?.status, answer?.body.error_code]).toEqual([413, 'file_too_large']);
      sending.cut();
      await until(() => passed() > before, 'the line of the log');
    });

    it('takes a resumable upload whose pieces go to different nodes, and keeps the quota', async () => {
      const content = dice.text(24 * MIB);
      const before = passed();
      const location = await new Promise<string>((resolve, reject) => {
        const client = new Upload(content, {
          endpoint: `${topology.url}/api/v1/uploads/resumable`,
          headers: auth(),
          metadata: { filename: 'large.txt', filetype: 'text/plain' },
          chunkSize: 3 * MIB,
          retryDelays: [],
          httpStack: new DefaultHttpStack({ agent: false }),
          onSuccess: () => resolve(client.url ?? ''),
          onError: reject,
        });
        client.start();
      });
      expect(nodesOf(before, (_path, method) => method === 'PATCH').size).toBeGreaterThan(1);
      expect(sha256((await get(`${idOf(location)}/download`)).body)).toBe(sha256(content));
      const { stats } = await topology.call('/users/me', { token: user.token });
      const room = QUOTA - stats.total_storage_used;
      expect((await upload(Buffer.alloc(room + 1, 'x')))?.status).toBe(507);
      // Two of them have room, with what is around a file in a form while it comes.
      const answers = await Promise.all([1, 2, 3].map(() => upload(Buffer.alloc(Math.floor(room * 0.4), 'x'))));
      expect(answers.map((answer) => answer?.status).sort()).toEqual([201, 201, 507]);
    });
  });

  describe('live channels', () => {
    it('reach clients by polling, by WebSocket, by both, and by event stream, in order, at all nodes', async () => {
      const channel = 'live';
      const before = passed();
      const readers = TRANSPORTS.flatMap((transports, kind) =>
        [1, 2, 3, 4].map((at) => {
          const agent = from(`127.0.1.${kind * 10 + at}`);
          const options = { token: user.token, channels: [channel], transports, agent };
          return opening(new SocketReader(`${transports.join()} ${at}`, topology.url, options));
        }),
      );
      const streams = [1, 2, 3].map((at) =>
        opening(new StreamReader(`stream ${at}`, [topology.url], user.token, channel)),
      );
      const all = [...readers, ...streams];
      const has = (count: number) => () => all.every(({ handled }) => handled.count(channel) >= count);
      await publish(channel);
      await until(has(1), 'the first message', WITHIN_MS);
      const messages = await Promise.all(Array.from({ length: 60 }, (_, at) => publish(channel, { data: { at } })));
      await until(has(messages.length + 1), 'all messages', WITHIN_MS);
      const { items } = await topology.history(channel);
      for (const { handled } of all) {
        expect(handled.faults).toEqual([]);
        expect(handled.distinct(channel)).toEqual(items);
      }
      expect(readers.map(({ disconnects }) => disconnects)).toEqual(readers.map(() => 0));
      const kinds = ['polling', 'websocket', 'websocket'].flatMap((name) => [name, name, name, name]);
      const present = () => readers.map(({ socket }) => socket.io.engine.transport.name);
      await until(() => present().join() === kinds.join(), 'the upgrades', WITHIN_MS);
      expect(nodesOf(before, (path) => path.startsWith('/socket.io/')).size).toBeGreaterThan(1);
      const { nodes } = await topology.call('/broadcasting/stats', { token: topology.admin.token });
      expect(nodes).toHaveLength(3);
    });

    it('know who is present, and carry what is not kept, over all nodes', async () => {
      const channel = 'presence-scale';
      const visitors = await Promise.all(['ada', 'bob', 'cleo', 'dan'].map((name) => topology.aUser(name)));
      const sockets: Socket[] = [];
      const joined: string[] = [];
      for (const [at, visitor] of visitors.entries()) {
        const socket = await socketFrom(`127.0.2.${at + 1}`, visitor, TRANSPORTS[at % TRANSPORTS.length]);
        if (at === 0) socket.on('presence:joined', (told) => joined.push(told.user.username));
        expect(await ask(socket, 'subscribe', { channel })).toMatchObject({ ok: true });
        sockets.push(socket);
      }
      await until(() => joined.length === 3, 'all who joined', WITHIN_MS);
      expect(joined.sort()).toEqual(['bob', 'cleo', 'dan']);
      const arrivals = sockets.map((socket) => once(socket as never, 'message'));
      const published = await publish(channel, { durable: false });
      for (const arrival of arrivals) expect(await arrival).toEqual([published]);
      expect(published.sequence).toBeNull();
      const left = once(sockets[0] as never, 'presence:left');
      sockets[3].close();
      expect(await left).toMatchObject([{ user: { username: 'dan' } }]);
    });

    it('end at once at each node when the user signs out everywhere', async () => {
      const leaver = await topology.aUser('leaver');
      const sockets = await Promise.all(
        [1, 2, 3, 4, 5, 6].map((at) => socketFrom(`127.0.3.${at}`, leaver, TRANSPORTS[at % TRANSPORTS.length])),
      );
      const ends = sockets.map((socket) => once(socket as never, 'session:ended'));
      await topology.call('/auth/logout-all', { method: 'POST', token: leaver.token }, 204);
      for (const end of ends) expect(await end).toEqual([{ reason: 'logged_out' }]);
    });
  });
});
