import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import autocannon from 'autocannon';
import { takeJob } from './job.mjs';

const AGAIN_MS = 10;

takeJob({ throughput, closedLoop, probe });

/** As many requests as the server answers on `connections` connections; they take the tokens in turn. */
async function throughput({ url, tokens, connections, seconds }) {
  const { host, pathname, search } = new URL(url);
  const requests = tokens.map((token) => ({
    path: pathname + search,
    headers: { host, authorization: `Bearer ${token}` },
  }));
  const result = await autocannon({ url, connections, duration: seconds, requests });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${result.non2xx} answers were not 2xx, ${result.errors} failed`);
  return {
    requests: result.requests.total,
    perSecond: result.requests.total / result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
  };
}

/**
 * Always `inFlight` posts at once, each with its token; whoever is answered posts again. `%n` in the body is the post's number; of several
 * `bodies` each post takes the next.
 * What is in flight at the end is waited for and not counted, so that the next measurement finds an idle server.
 */
async function closedLoop(options) {
  const {
    url,
    body,
    bodies = [body],
    contentType = 'application/json',
    tokens = [],
    inFlight,
    warmUpSeconds,
    seconds,
    expect,
  } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const begin = performance.now() + warmUpSeconds * 1000;
  const end = begin + seconds * 1000;
  const tookMs = [];
  let number = 0;
  let sent = 0;
  const loop = async (_, index) => {
    const token = tokens[index % tokens.length];
    const headers = { 'content-type': contentType, ...(token && { authorization: `Bearer ${token}` }) };
    while (performance.now() < end) {
      const sentAt = performance.now();
      sent++;
      const text = bodies[number % bodies.length].replaceAll('%n', String(number++));
      const status = await send(url, { method: 'POST', agent, headers, body: text });
      const now = performance.now();
      if (status !== expect) throw new Error(`${url} answered ${status}`);
      if (now >= begin && now < end) tookMs.push(now - sentAt);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  agent.destroy();
  return { perSecond: tookMs.length / seconds, tookMs, sent };
}

/**
 * A request every `everyMs`, whether or not the one before has been answered; for so long, or until a message comes. It begins with the
 * first 200 of a server that may still be starting. Any other answer later ends it all, unless some `mayFail`.
 */
async function probe({ url, everyMs, seconds = Infinity, mayFail = false }) {
  let isStopped = false;
  process.once('message', () => (isStopped = true));
  const agent = new Agent({ keepAlive: true });
  while (!isStopped && (await send(url, { method: 'GET', agent }).catch(() => 0)) !== 200) await delay(AGAIN_MS);
  const probes = [];
  let failed = 0;
  const end = performance.now() + seconds * 1000;
  for (let at = performance.now(); at < end && !isStopped; at += everyMs) {
    await delay(Math.max(0, at - performance.now()));
    const sentAt = performance.now();
    const answered = send(url, { method: 'GET', agent })
      .catch((error) => (mayFail ? error.code : Promise.reject(error)))
      .then((status) => {
        if (status !== 200 && !mayFail) throw new Error(`${url} answered ${status}`);
        if (status !== 200) failed++;
        return performance.now() - sentAt;
      });
    probes.push(answered);
  }
  const tookMs = await Promise.all(probes);
  agent.destroy();
  return { tookMs, failed };
}

function send(url, { method, agent, headers, body }) {
  return new Promise((resolve, reject) => {
    const length = body && { 'content-length': Buffer.byteLength(body) };
    const outgoing = request(url, { method, agent, headers: { ...headers, ...length } }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    });
    outgoing.once('error', reject).end(body);
  });
}
