// The arithmetic of docs/scaling.md: figures of the bench, assumptions that anybody can change here, and what follows from both.
import { formatTable } from './report.mjs';
import { brief } from './summary.mjs';

const DAY = 86_400;
const MILLION = 1_000_000;

/** What the bench cannot know. */
export const ASSUMPTIONS = {
  activeShare: { value: 0.2, about: 'share of users who come on a day' },
  requests: { value: 200, about: 'requests of an active user a day, all as dear as `who-am-i`' },
  logins: { value: 0.3, about: 'sign-ins of an active user a day (sessions last a week)' },
  messages: { value: 5, about: 'durable messages of an active user a day' },
  files: { value: 0.5, about: 'small files of an active user a day' },
  sessions: { value: 1.5, about: 'live sessions a user' },
  auditEntries: { value: 0.5, about: 'entries of the audit log of an active user a day' },
  totalFiles: { value: 20, about: 'files a user keeps' },
  peak: { value: 5, about: 'busiest second, in means of the day' },
  busy: { value: 0.6, about: 'share of a core that is planned for; the rest is for bursts' },
  retention: { value: 7, about: 'days that messages are kept (`BROADCAST_RETENTION_SECONDS`)' },
  logFactor: { value: 3, about: 'bytes of WAL a byte of row and index, where it was not measured' },
  socketsAProcess: { value: 25_000, about: 'sockets that one process is given' },
  kernelKilobytes: { value: 8, about: "kernel's memory of a connection that rests, at either end" },
  processesAHost: { value: 4, about: 'processes (workers) of a host with as many cores' },
  ownConnections: {
    value: 4,
    about: 'database connections of a process beside its pool (`src/database/open-database.ts`)',
  },
  poolSize: { value: 10, about: '`DATABASE_POOL_SIZE`' },
  systemMessages: { value: 1, about: 'durable messages a second to all, of 1 KB' },
  returnSeconds: { value: 5, about: "seconds over which the stock client's back-off spreads those who come back" },
};

const gigabytes = (bytes) => `${brief(bytes / 1e9)} GB`;
const seconds = (microseconds) => microseconds / 1e6;
const count = (value) => (Number.isFinite(value) ? Math.round(value).toLocaleString('en') : '–');
const cores = (value) => `${brief(value)} cores`;

/** @param evidence of `evidence.mjs` */
export function describeModel(evidence) {
  const is = Object.fromEntries(Object.entries(evidence).map(([name, { value }]) => [name, value]));
  const may = Object.fromEntries(Object.entries(ASSUMPTIONS).map(([name, { value }]) => [name, value]));
  return [
    ['What a thing costs', costs(is, evidence)],
    ['What is assumed', assumptions()],
    ['One million users', millionUsers(is, may)],
    ['One million sockets', millionSockets(is, may)],
  ]
    .map(([title, table]) => `### ${title}\n\n${table}`)
    .join('\n\n');
}

const assumptions = () =>
  formatTable(
    ['assumption', 'value'],
    Object.values(ASSUMPTIONS).map(({ value, about }) => [about, value.toLocaleString('en')]),
  );

function costs(is, evidence) {
  const perCore = (microseconds) => (microseconds > 0 ? count(1e6 / microseconds) : '–');
  const line = (what, node, database, from) => [
    ...[what, brief(is[node]), perCore(is[node])],
    ...(database ? [brief(is[database]), perCore(is[database])] : ['', '']),
    evidence[from ?? node].from.split(':')[0],
  ];
  return formatTable(
    ['', 'Node µs', 'a core gives', 'PostgreSQL µs', 'a core gives', 'from'],
    [
      line('`GET /users/me`', 'meNode', 'meDatabase'),
      line('… its limits in Redis, in addition', 'redisNode'),
      ['… of Redis itself', '', '', brief(is.redisRedis), perCore(is.redisRedis), '`scale-redis`'],
      line('… its limits in the primary of workers, in addition', 'workers'),
      ['… of nginx', brief(is.nginx), perCore(is.nginx), '', '', '`scale-nodes`'],
      ['a sign-in, cost 12', brief(is.loginMs * 1000), brief(1000 / is.loginMs), '', '', '`login`'],
      line('a file of 10 KB', 'fileNode', 'fileDatabase'),
      line('a durable message', 'publishNode', 'publishDatabase'),
      line('… each further node that reads it', 'readerNode', 'readerDatabase'),
      line('… its delivery to a socket, 1 KB', 'deliveryNode'),
      line('a socket that comes back', 'returnNode', 'returnDatabase'),
      line('a process that nobody asks, a second', 'idleNode', 'idleDatabase'),
    ],
  );
}

function millionUsers(is, may) {
  const active = MILLION * may.activeShare;
  const peakOf = (aDay) => (active * aDay * may.peak) / DAY;
  const [requests, logins, messages, files] = ['requests', 'logins', 'messages', 'files'].map((key) =>
    peakOf(may[key]),
  );
  const node = seconds(requests * (is.meNode + is.redisNode) + messages * is.publishNode + files * is.fileNode);
  const database = seconds(requests * is.meDatabase + messages * is.publishDatabase + files * is.fileDatabase);
  const hashing = (logins * is.loginMs) / 1000;
  const processes = Math.ceil(node / may.busy) + Math.ceil(hashing / may.busy);
  const connections = processes * (may.poolSize + may.ownConnections) + 20;
  const tables = [
    ['users', MILLION, is.usersBytes],
    ['sessions', MILLION * may.sessions, is.sessionsBytes],
    ['uploads', MILLION * may.totalFiles, is.uploadsBytes],
    ['messages', active * may.messages * may.retention, is.messageBytes],
    ['audit log, a year', active * may.auditEntries * 365, is.audit_logBytes],
  ];
  const rest =
    active * (may.files * is.uploadsBytes + may.auditEntries * is.audit_logBytes + may.logins * is.sessionsBytes);
  return formatTable(
    ['', 'how', 'result'],
    [
      ['users on a day', '10⁶ × share', count(active)],
      ['requests in the busiest second', 'active × requests ÷ 86,400 × peak', `${count(requests)} a second`],
      ['sign-ins in the busiest second', 'likewise', `${brief(logins)} a second`],
      ['durable messages in the busiest second', 'likewise', `${brief(messages)} a second`],
      ['Node', 'requests with Redis + messages + files, ÷ busy', cores(node / may.busy)],
      ['passwords', 'sign-ins × CPU each, ÷ busy', cores(hashing / may.busy)],
      ['PostgreSQL', 'the same work, ÷ busy', cores(database / may.busy)],
      ['Redis', 'requests × Redis µs', `${brief(seconds(requests * is.redisRedis) * 100)} % of a core`],
      ['processes', 'Node and passwords, whole cores each', count(processes)],
      ['database connections', 'processes × (pool + own) + 20', count(connections)],
      ...tables.map(([name, rows, bytes]) => [
        `table and indexes of ${name}`,
        `${count(rows)} rows × ${count(bytes)} bytes`,
        gigabytes(rows * bytes),
      ]),
      ['tables and indexes together', '', gigabytes(tables.reduce((sum, [, rows, bytes]) => sum + rows * bytes, 0))],
      [
        'WAL a day',
        'messages × measured + other rows × factor',
        gigabytes(active * may.messages * is.publishLogBytes + rest * may.logFactor),
      ],
    ],
  );
}

function millionSockets(is, may) {
  const processes = Math.ceil(MILLION / may.socketsAProcess);
  const hosts = Math.ceil(processes / may.processesAHost);
  const each = may.socketsAProcess;
  const processBytes = is.idleMegabytes * 1e6 + each * is.socketKilobytes * 1024;
  const kernelBytes = each * may.kernelKilobytes * 1024;
  const delivery = seconds(each * is.deliveryNode);
  const databaseAMessage = is.publishDatabase + (processes - 1) * is.readerDatabase;
  const lost = each * may.processesAHost;
  const others = processes - may.processesAHost;
  const returns = seconds(lost * is.returnNode) / others;
  const handshakes = lost / may.returnSeconds;
  const connections = processes * (may.poolSize + may.ownConnections) + 20;
  return formatTable(
    ['', 'how', 'result'],
    [
      ['processes', '10⁶ ÷ sockets of a process', `${processes} on ${hosts} hosts`],
      ['memory of a process', 'idle + sockets × KB', gigabytes(processBytes)],
      [
        'memory of a host',
        'its processes, with the kernel’s part',
        gigabytes(may.processesAHost * (processBytes + kernelBytes)),
      ],
      ['open files of a process', 'sockets + 500', count(each + 500)],
      [
        'ports between proxy and one process',
        'a connection each, of about 28,000',
        `${brief((each / 28_000) * 100)} %`,
      ],
      ['database connections', 'processes × (pool + own) + 20', count(connections)],
      ['a message to all: each process', 'sockets × delivery', `${brief(delivery)} s of its core`],
      ['… all processes', '', `${brief(delivery * processes)} core-seconds`],
      ['… how often that can be', 'busy ÷ seconds of a process', `${brief(may.busy / delivery)} a second`],
      ['… PostgreSQL', 'publish + each further reader', `${brief(databaseAMessage / 1000)} ms`],
      [
        '… as often as assumed, Node',
        'delivery × messages',
        `${brief(delivery * may.systemMessages * 100)} % of each core`,
      ],
      [
        'messages to readers on every node that one core of PostgreSQL carries',
        '1 ÷ cost, in the batches of 32 publishers',
        `${count(1e6 / databaseAMessage)} a second`,
      ],
      ['a host is lost: sockets to come back', 'its processes', count(lost)],
      ['… handshakes', '÷ back-off', `${count(handshakes)} a second, ${count(handshakes / others)} a process`],
      ['… each other process', 'sockets × CPU ÷ others', `${brief(returns)} s of its core`],
      ['… PostgreSQL', 'sockets × CPU', `${brief(seconds(lost * is.returnDatabase))} core-seconds`],
      [
        'at rest: PostgreSQL',
        'processes × its part of a process',
        `${brief(seconds(processes * is.idleDatabase) * 100)} % of a core`,
      ],
    ],
  );
}
