import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { call } from '../lib/api.mjs';
import { now } from '../lib/clock.mjs';
import { load } from '../lib/load.mjs';
import { settings } from '../lib/settings.mjs';
import { median, quantile } from '../lib/statistics.mjs';
import { withCpu } from './crew.mjs';

const MESSAGES_API = '/api/v1/broadcasting/messages';
const PUBLISHERS = 32;
const CHANNELS = 100;
const SMALL = 'x'.repeat(98);
const LARGE = { text: randomBytes(768).toString('base64') };
const WARM_UP_SECONDS = 1;
const FAN_OUT_MESSAGES = 10;
const PAUSE_MS = 50;

export const FAN_OUT_SOCKETS = Math.ceil(settings.sockets / 5);

/** Read by one subscriber on each node. */
const READ_CHANNEL = 'read';
const FAN_OUT_CHANNEL = 'news';

export async function whoAmI(stage, crew, seconds = settings.seconds) {
  const { url, tokens } = crew;
  const options = { url: `${url}/api/v1/users/me`, tokens, connections: settings.connections, seconds };
  const { requests, perSecond, p50, p99, cpu } = await withCpu(crew, () => load(stage, 'throughput', options));
  return { perSecond, p50, p99, cpu: each(cpu, requests) };
}

const publish =
  (names) =>
  async (stage, crew, seconds = settings.seconds) => {
    const options = {
      url: crew.url + MESSAGES_API,
      bodies: names.map((channel) => JSON.stringify({ channel, event: 'tick', data: SMALL })),
      tokens: [crew.admin],
      inFlight: PUBLISHERS,
      warmUpSeconds: WARM_UP_SECONDS,
      seconds,
      expect: 201,
    };
    const { sent, perSecond, tookMs, cpu } = await withCpu(crew, () => load(stage, 'closedLoop', options));
    return { perSecond, p50: quantile(tookMs, 0.5), p99: quantile(tookMs, 0.99), cpu: each(cpu, sent) };
  };

/** The last of all sockets; processor time is that of a delivery. */
async function fanOut(stage, crew) {
  const { subscribers, url, admin } = crew;
  const body = { channel: FAN_OUT_CHANNEL, event: 'news', data: LARGE };
  const lasts = [];
  const all = [];
  const { cpu } = await withCpu(crew, async () => {
    for (let i = 0; i < FAN_OUT_MESSAGES; i++) {
      await subscribers.tell('expect');
      const publishedAt = now();
      const received = subscribers.tell('received');
      await call(url + MESSAGES_API, { method: 'POST', token: admin, body, expect: 201 });
      const took = (await received).map((stamp) => stamp - publishedAt);
      lasts.push(quantile(took, 1));
      all.push(...took);
      await delay(PAUSE_MS);
    }
  });
  return {
    perSecond: FAN_OUT_SOCKETS / (median(lasts) / 1000),
    p50: quantile(all, 0.5),
    p99: quantile(all, 0.99),
    cpu: each(cpu, FAN_OUT_MESSAGES * FAN_OUT_SOCKETS),
  };
}

const each = (cpu, count) =>
  Object.fromEntries(Object.entries(cpu).map(([kind, microseconds]) => [kind, microseconds / count]));

export const publishAnywhere = publish(Array.from({ length: CHANNELS }, (_, n) => `channel-${n}`));

/** `before` and `after`: who is connected meanwhile. */
export const LOADS = {
  'who-am-i': { unit: 'requests', measure: whoAmI },
  'publish, one channel': { unit: 'messages', measure: publish(['hot']) },
  [`publish, ${CHANNELS} channels`]: { unit: 'messages', measure: publishAnywhere },
  'publish, one channel read on each node': {
    unit: 'messages',
    measure: publish([READ_CHANNEL]),
    before: (crew) => readEverywhere(crew),
  },
  [`1 KB to ${FAN_OUT_SOCKETS} sockets`]: {
    unit: 'deliveries',
    measure: fanOut,
    before: ({ subscribers, url, tokens }) =>
      subscribers.tell('open', { count: FAN_OUT_SOCKETS, url, tokens, channel: FAN_OUT_CHANNEL, follows: false }),
  },
};

/** One subscriber at each entrance. Connections to one port go to its workers in turn. */
async function readEverywhere({ subscribers, entrances, tokens }) {
  for (const [i, url] of entrances.entries())
    await subscribers.tell('open', { count: i + 1, url, tokens, channel: READ_CHANNEL, follows: true });
}
