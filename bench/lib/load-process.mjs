// One job, told and answered by message.
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import autocannon from 'autocannon';

const jobs = { throughput, closedLoop, probe };

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
 * Always `inFlight` posts at once; whoever is answered posts again. `%n` in the body is the post's number. What is in flight
 * at the end is waited for and not counted, so that the next measurement finds an idle server.
 */
async function closedLoop({ url, body, inFlight, warmUpSeconds, seconds, expect }) {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const begin = performance.now() + warmUpSeconds * 1000;
  const end = begin + seconds * 1000;
  const tookMs = [];
  let number = 0;
  let sent = 0;
  const loop = async () => {
    while (performance.now() < end) {
      const sentAt = performance.now();
      sent++;
      const status = await send(url, { method: 'POST', agent, body: body.replaceAll('%n', String(number++)) });
      const now = performance.now();
      if (status !== expect) throw new Error(`${url} answered ${status}`);
      if (now >= begin && now < end) tookMs.push(now - sentAt);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  agent.destroy();
  return { perSecond: tookMs.length / seconds, tookMs, sent };
}

/** A request every `everyMs`, whether or not the one before has been answered. */
async function probe({ url, everyMs, seconds }) {
  const agent = new Agent({ keepAlive: true });
  await send(url, { method: 'GET', agent });
  const probes = [];
  const end = performance.now() + seconds * 1000;
  for (let at = performance.now(); at < end; at += everyMs) {
    await delay(Math.max(0, at - performance.now()));
    const sentAt = performance.now();
    const answered = send(url, { method: 'GET', agent }).then((status) => {
      if (status !== 200) throw new Error(`${url} answered ${status}`);
      return performance.now() - sentAt;
    });
    probes.push(answered);
  }
  const tookMs = await Promise.all(probes);
  agent.destroy();
  return { tookMs };
}

function send(url, { method, agent, body }) {
  return new Promise((resolve, reject) => {
    const headers = body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const outgoing = request(url, { method, agent, headers }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    });
    outgoing.once('error', reject).end(body);
  });
}

process.once('disconnect', () => process.exit(1));
process.once('message', async ({ kind, options }) => {
  const answer = await jobs[kind](options);
  process.send(answer, () => process.exit(0));
});
