import { setImmediate as nextTurn } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { RedisCountingPlace } from '../../src/coordination/redis-counting-place.js';
import { SharedHitCounters } from '../../src/coordination/shared-hit-counters.js';
import { hasRedisServer, RedisServer } from '../support/redis-server.js';
import { until } from '../support/uploads.js';

/** What an answer is waited for where one has to come: on a busy machine Redis may be late. */
const PATIENCE_MS = 1_000;
/** Longer. */
const BUSY_MS = 1_500;
const OUTAGES = 3;
/** Longer than nobody asks after a failure, shorter than a silence after which the connection is given up. */
const HANG_MS = 1_500;

(hasRedisServer() ? describe : describe.skip)('counting in Redis', () => {
  let redis: RedisServer;
  const places: RedisCountingPlace[] = [];
  let warn: jest.SpyInstance;
  let log: jest.SpyInstance;

  beforeAll(async () => {
    redis = await RedisServer.create();
    await redis.start();
  });
  beforeEach(() => {
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
  });
  afterEach(() => {
    for (const place of places.splice(0)) place.close();
    jest.restoreAllMocks();
  });
  afterAll(() => redis.remove());

  async function aProcess(answerWithinMs?: number): Promise<SharedHitCounters> {
    const place = new RedisCountingPlace(redis.url);
    if (answerWithinMs) Object.assign(place, { answerWithinMs });
    places.push(place);
    const counters = new SharedHitCounters(place);
    await until(() => counters.isShared, 'a connection to Redis');
    return counters;
  }

  it('takes its own being busy for no silence of Redis', async () => {
    const [one, other] = [await aProcess(PATIENCE_MS), await aProcess(PATIENCE_MS)];
    const hits = Array.from({ length: 3 }, () => one.counter('busy', 60_000).hit('somebody'));
    const until = performance.now() + BUSY_MS;
    while (performance.now() < until);
    expect((await Promise.all(hits)).map((state) => state.hits)).toEqual([1, 2, 3]);
    expect((await other.counter('busy', 60_000).hit('somebody')).hits).toBe(4);
    expect(warn).not.toHaveBeenCalled();
  });

  it('says once a minute that Redis is away, however often it comes and goes', async () => {
    const counters = await aProcess();
    for (let outage = 1; outage <= OUTAGES; outage++) {
      await redis.stop();
      await until(() => !counters.isShared, 'the loss to be noticed');
      expect((await counters.counter('flapping', 60_000).hit(`outage ${outage}`)).hits).toBe(1);
      await redis.start();
      await until(() => counters.isShared, 'Redis again');
    }
    expect(warn).toHaveBeenCalledTimes(1);
    expect(log).toHaveBeenCalledTimes(OUTAGES);
  });

  it('asks a Redis that hangs once, and no more before it has answered', async () => {
    const counters = await aProcess();
    const counter = counters.counter('hanging', 60_000);
    redis.signal('SIGSTOP');
    const end = performance.now() + HANG_MS;
    try {
      for (let hit = 1; performance.now() < end; hit++) {
        expect((await counter.hit('somebody')).hits).toBe(hit);
        await nextTurn();
      }
      expect(counters.isShared).toBe(false);
    } finally {
      redis.signal('SIGCONT');
    }
    await until(() => counters.isShared, 'Redis again');
    Object.assign(places[0], { answerWithinMs: PATIENCE_MS });
    // Of all of them, Redis has seen the first alone.
    expect((await counter.hit('somebody')).hits).toBe(2);
  });
});
