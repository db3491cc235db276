// Figures of the last results, each with where it is from: what the model computes with.
import { readResult } from './report.mjs';

/** @param pick of the result; what is not there, or was never measured, is NaN and prints as "–" */
function figure(name, where, pick) {
  const result = readResult(name);
  return { value: attempt(() => pick(result)), source: name, from: `\`${name}\`: ${where}` };
}

function attempt(pick) {
  try {
    return Number(pick() ?? NaN);
  } catch {
    return NaN;
  }
}

const named = (name) => (one) => one.name === name;
const side = (result, name) => result.results.find(named(name));
const load = (result, name, crew) => result.results.find((one) => one.load === name && one.name === crew);
const table = (result, name) => result.sizes.find((one) => one.table === name);
const largest = (result) => result.results.findLast(named('Gatehouse'));

const UNREAD = 'publish, one channel';
const READ = 'publish, one channel read on each node';
const ofPublish = (key) => (r) => side(r, 'one channel')[key];
const ofMe = (key) => (r) => side(r, 'Gatehouse')[key];
const ofReturn = (key) => (r) => r.results[0][key];
const ofSmallFile = (key) => (r) => side(r, 'Gatehouse')[key];

/** By least squares, what each further node adds to the cost of a load. */
const slope = (result, name, kind) => {
  const points = [1, 2, 4].map((size) => [
    size,
    load(result, name, size === 1 ? 'one node' : `${size} nodes`).cpu[kind],
  ]);
  const mean = (at) => points.reduce((total, point) => total + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const covariance = points.reduce((total, point) => total + (point[0] - x) * (point[1] - y), 0);
  return covariance / points.reduce((total, point) => total + (point[0] - x) ** 2, 0);
};
/** Publishes, and hears of what the others publish. */
const aPublisher = (kind) => (result) => Math.max(0, slope(result, UNREAD, kind));
/** Looks into the log besides. */
const aReader = (kind) => (result) => Math.max(0, slope(result, READ, kind) - slope(result, UNREAD, kind));

const more = (kind) => (r) =>
  load(r, 'who-am-i', 'with REDIS_URL').cpu[kind] - load(r, 'who-am-i', 'without').cpu[kind];

const inWorkers = (r) => {
  const one = load(r, 'who-am-i', 'one process').cpu;
  const two = load(r, 'who-am-i', '2 workers').cpu;
  return two.node + two.primary - one.node;
};

export const collectEvidence = () => ({
  meNode: figure('who-am-i', 'Gatehouse, CPU µs/req', ofMe('cpuMicroseconds')),
  meDatabase: figure('who-am-i', 'Gatehouse, database CPU µs/req', ofMe('databaseCpuMicroseconds')),
  redisNode: figure('scale-redis', 'who-am-i, Node µs, with less without', more('node')),
  redisRedis: figure('scale-redis', 'who-am-i, Redis µs, with less without', more('redis')),
  nginx: figure('scale-nodes', 'who-am-i, one node, nginx µs', (r) => load(r, 'who-am-i', 'one node').cpu.nginx),
  workers: figure('scale-workers', 'who-am-i, Node and primary µs, 2 workers less one process', inWorkers),
  loginMs: figure('login', 'Gatehouse, CPU ms each', (r) => side(r, 'Gatehouse').cpuMsEach),
  publishNode: figure('broadcast-publish', 'one channel, CPU µs/message', ofPublish('cpuMicroseconds')),
  publishDatabase: figure(
    'broadcast-publish',
    'one channel, database CPU µs/message',
    ofPublish('databaseCpuMicroseconds'),
  ),
  publishRate: figure('broadcast-publish', 'one channel, messages/s', ofPublish('perSecond')),
  publishLogBytes: figure('broadcast-publish', 'one channel, WAL bytes/message', ofPublish('logBytes')),
  messageBytes: figure('broadcast-publish', 'size of messages, row and indexes', (r) => table(r, 'messages').bytesARow),
  publisherNode: figure('scale-nodes', `${UNREAD}, Node µs, slope over nodes`, aPublisher('node')),
  publisherDatabase: figure('scale-nodes', `${UNREAD}, PostgreSQL µs, slope over nodes`, aPublisher('database')),
  readerNode: figure('scale-nodes', `${READ}, Node µs, slope over nodes, less without readers`, aReader('node')),
  readerDatabase: figure('scale-nodes', `${READ}, PostgreSQL µs, likewise`, aReader('database')),
  deliveryNode: figure('broadcast-fan-out', 'most sockets, CPU µs/delivery', (r) => largest(r).cpuMicroseconds),
  socketKilobytes: figure('broadcast-fan-out', 'most sockets, KB/socket', (r) => largest(r).kilobytesEach),
  returnNode: figure('broadcast-reconnect', 'at the same moment, CPU µs/socket', ofReturn('cpuMicroseconds')),
  returnDatabase: figure(
    'broadcast-reconnect',
    'the same, database CPU µs/socket',
    ofReturn('databaseCpuMicroseconds'),
  ),
  fileNode: figure('upload-small', 'Gatehouse, one user, CPU µs/file', ofSmallFile('cpuMicroseconds')),
  fileDatabase: figure(
    'upload-small',
    'Gatehouse, one user, database CPU µs/file',
    ofSmallFile('databaseCpuMicroseconds'),
  ),
  idleMegabytes: figure('memory', 'idle', (r) => r.results[0].idle.ours),
  idleNode: figure('scale-nodes', 'a process that nobody asks, µs a second', (r) => r.idle.nodeMicroseconds),
  idleDatabase: figure('scale-nodes', "the same, PostgreSQL's µs a second", (r) => r.idle.databaseMicroseconds),
  ...sizes('users', 'list-admin'),
  ...sizes('sessions', 'list-admin'),
  ...sizes('audit_log', 'list-admin'),
  ...sizes('uploads', 'list-admin'),
});

function sizes(name, result) {
  return { [`${name}Bytes`]: figure(result, `size of ${name}, row and indexes`, (r) => table(r, name).bytesARow) };
}
