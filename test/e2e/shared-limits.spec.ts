import { HitCounters } from '../../src/common/limits/hit-counters.js';
import type { SharedHitCounters } from '../../src/coordination/shared-hit-counters.js';
import { aSignedInUser, aUser, PASSWORD } from '../support/builders.js';
import { hasRedisServer, RedisServer } from '../support/redis-server.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { until } from '../support/uploads.js';

const AWAY = /"level":40.*limits are counted by each process for itself/;
const PATIENCE_MS = 60_000;
const IMPATIENCE_MS = 50;
const BACK = /limits are counted together/;

if (!hasRedisServer()) process.stderr.write('limits over several nodes are not tested: there is no redis-server\n');

(hasRedisServer() ? describe : describe.skip)('limits of several nodes on one Redis', () => {
  let redis: RedisServer;
  let nodes: TestApp[] = [];

  beforeAll(async () => {
    redis = await RedisServer.create();
  });
  beforeEach(() => redis.start());
  afterEach(async () => {
    for (const node of nodes.reverse()) await node.close();
    nodes = [];
    await redis.stop();
  });
  afterAll(() => redis.remove());

  /** What a request waits for Redis at most: as little as the program waits where it is away or hangs, else long enough for a busy machine. */
  const wait = (node: TestApp, answerWithinMs: number) =>
    Object.assign(node.app.get<SharedHitCounters>(HitCounters)['place'], { answerWithinMs });

  async function start(
    environment: Parameters<typeof startTestApp>[0] = {},
    answerWithinMs = PATIENCE_MS,
  ): Promise<[TestApp, TestApp]> {
    const settings = { REDIS_URL: redis.url, RATE_LIMIT_ENABLED: 'true', ...environment };
    nodes.push(await startTestApp(settings));
    nodes.push(await startTestApp(settings, { beside: nodes[0] }));
    for (const node of nodes) wait(node, answerWithinMs);
    // While the connection is being made each counts for itself.
    await until(
      () => nodes.every(({ app }) => app.get<SharedHitCounters>(HitCounters).isShared),
      'connections to Redis',
    );
    return nodes as [TestApp, TestApp];
  }

  /** Nest's loggers are the process's: what a node says is in the log of the one that was made last. */
  const said = (pattern: RegExp) => nodes.flatMap(({ log }) => log).filter((line) => pattern.test(line)).length;
  const guess = (node: TestApp, email: string) =>
    node.http.post('/api/v1/auth/login').set('X-Forwarded-For', '192.0.2.99').send({ email, password: 'Wrong-One-1' });
  const nowhere = (node: TestApp, address: string) => node.http.get('/nowhere').set('X-Forwarded-For', address);

  it('counts exactly, whichever node is asked', async () => {
    const [first, second] = await start({ TRUST_PROXY: '1', RATE_LIMIT_ANONYMOUS: '20/60' });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) => nowhere(at % 2 ? first : second, '192.0.2.1')),
    );
    expect(answers.filter(({ status }) => status === 404)).toHaveLength(20);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(30);
    const remaining = answers
      .filter(({ status }) => status === 404)
      .map((answer) => answer.headers['x-ratelimit-remaining']);
    expect(remaining.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, at) => at));
    const [refused] = answers.filter(({ status }) => status === 429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect((await nowhere(first, '192.0.2.2')).status).toBe(404);
  });

  it('takes a hit back where it was counted: a token of an ended session charges its address, on all nodes', async () => {
    const [first, second] = await start({
      RATE_LIMIT_USER: '3/60',
      RATE_LIMIT_ANONYMOUS: '100/60',
      RATE_LIMIT_CREDENTIALS: '100/60',
    });
    const user = await aSignedInUser(first);
    const me = (node: TestApp) => node.http.get('/api/v1/users/me').set(user.auth);
    const other = await first.http
      .post('/api/v1/auth/login')
      .send({ email: user.email, password: PASSWORD })
      .expect(200);
    await first.http.post('/api/v1/auth/logout').set(user.auth).expect(204);
    for (const node of [first, second, first, second]) await me(node).expect(401);
    await second.http.get('/api/v1/users/me').set('Authorization', `Bearer ${other.body.access_token}`).expect(200);
  });

  it('locks an account on all nodes, and a name of nobody in the same way', async () => {
    const [first, second] = await start({ LOGIN_LOCKOUT: '4/900', RATE_LIMIT_ENABLED: 'false' });
    const user = await aUser(first);
    const login = (node: TestApp, password: string) =>
      node.http.post('/api/v1/auth/login').send({ email: user.email, password });
    for (const node of [first, second, first, second]) await login(node, 'Wrong-One-1').expect(401);
    for (const node of [first, second]) await login(node, PASSWORD).expect(429);
    // Names of nobody are locked in the same way.
    for (const node of [first, second, first, second]) await guess(node, 'nobody@example.com').expect(401);
    for (const node of [first, second]) await guess(node, 'nobody@example.com').expect(429);
  });

  it('counts in each process while Redis is away, says so once, and counts together again', async () => {
    const [first, second] = await start({ RATE_LIMIT_ANONYMOUS: '3/60', TRUST_PROXY: '1' }, IMPATIENCE_MS);
    await redis.stop();
    for (const node of [first, second]) {
      for (const status of [404, 404, 404, 429, 429]) expect((await nowhere(node, '192.0.2.3')).status).toBe(status);
    }
    expect(said(AWAY)).toBe(2);
    const { body } = await first.http.get('/api/v1/health').expect(200);
    expect(body.status).toBe('healthy');
    await redis.start();
    await until(() => said(BACK) >= 2, 'Redis again');
    let attempt = 0;
    const together = async () => {
      const address = `198.51.100.${++attempt}`;
      const statuses: number[] = [];
      for (const node of [first, second, first, second]) statuses.push((await nowhere(node, address)).status);
      return statuses.join() === '404,404,404,429';
    };
    // Where the machine is busy an answer of Redis may be late, and is counted at one node.
    await until(together, 'hits to be counted together');
  });

  it('does not wait for a Redis that hangs', async () => {
    const [first, second] = await start({ RATE_LIMIT_ANONYMOUS: '3/60', TRUST_PROXY: '1' }, IMPATIENCE_MS);
    redis.signal('SIGSTOP');
    const statuses: number[] = [];
    for (let request = 0; request < 5; request++) statuses.push((await nowhere(first, '192.0.2.5')).status);
    expect(statuses).toEqual([404, 404, 404, 429, 429]);
    expect(said(AWAY)).toBe(1);
    redis.signal('SIGCONT');
    for (const node of nodes) wait(node, PATIENCE_MS);
    await until(() => nodes.every(({ app }) => app.get<SharedHitCounters>(HitCounters).isShared), 'Redis again');
    expect((await nowhere(second, '192.0.2.6')).headers['x-ratelimit-remaining']).toBe('2');
    expect((await nowhere(first, '192.0.2.6')).headers['x-ratelimit-remaining']).toBe('1');
  });

  it('starts without Redis, and keeps nothing there that can be read', async () => {
    const [first] = await start({ TRUST_PROXY: '1' });
    await nowhere(first, '192.0.2.77');
    await guess(first, 'somebody@example.com');
    const keys = await redis.keys();
    expect(keys.length).toBeGreaterThan(1);
    for (const { name, ttlSeconds } of keys.filter((key) => key.name.startsWith('gatehouse:limit:'))) {
      expect(name).toMatch(/^gatehouse:limit:[A-Za-z]+:[A-Za-z0-9_-]{43}$/);
      expect(ttlSeconds).toBeGreaterThan(0);
    }
    await redis.stop();
    nodes.push(await startTestApp({ REDIS_URL: redis.url }, { beside: first }));
    await nodes[2].http.get('/api/v1/health').expect(200);
  });
});
