import { formatTable } from './report.mjs';
import { brief } from './summary.mjs';
import { cores, count, gigabytes, seconds } from './units.mjs';

const DAY = 86_400;
const MILLION = 1_000_000;

export function millionUsers(is, may) {
  const active = MILLION * may.activeShare;
  const peak = peaks(active, may);
  const load = loads(is, may, peak);
  const processes = Math.ceil(load.node) + Math.ceil(load.hashing);
  const tables = tablesOf(is, may, active);
  return formatTable(
    ['', 'how', 'result'],
    [
      ['users on a day', '10⁶ × share', count(active)],
      ['requests in the busiest second', 'active × requests ÷ 86,400 × peak', `${count(peak.requests)} a second`],
      ['token refreshes in the busiest second', 'likewise', `${brief(peak.refreshes)} a second`],
      ['sign-ins in the busiest second', 'likewise', `${brief(peak.logins)} a second`],
      ['durable messages in the busiest second', 'likewise', `${brief(peak.messages)} a second`],
      ['files in the busiest second', 'likewise', `${brief(peak.files)} a second`],
      ['Node', 'requests, refreshes, messages and files, with limits in Redis, ÷ busy', cores(load.node)],
      ['passwords', 'sign-ins × CPU each, ÷ busy', cores(load.hashing)],
      ['PostgreSQL', 'requests, refreshes, messages and files, ÷ busy', cores(load.database)],
      ['Redis', 'all of them, and sign-ins, × Redis µs, ÷ busy', cores(load.redis)],
      ['nginx', 'likewise × nginx µs, ÷ busy', cores(load.nginx)],
      ['processes', 'Node and passwords, whole cores each', count(processes)],
      [
        'database connections',
        'processes × (pool + own) + spare',
        count(processes * (may.poolSize + may.ownConnections) + may.spareConnections),
      ],
      ...tables.map(([name, rows, bytes]) => [
        `table and indexes of ${name}`,
        `${count(rows)} rows × ${count(bytes)} bytes`,
        gigabytes(rows * bytes),
      ]),
      ['tables and indexes together', '', gigabytes(tables.reduce((sum, [, rows, bytes]) => sum + rows * bytes, 0))],
      ['WAL a day', 'messages × measured + refreshes + other rows × factor', gigabytes(logBytes(is, may, active))],
    ],
  );
}

/** Of everything, how often in the busiest second. */
const peaks = (active, may) =>
  Object.fromEntries(
    ['requests', 'refreshes', 'logins', 'messages', 'files'].map((key) => [key, (active * may[key] * may.peak) / DAY]),
  );

/** Cores. */
function loads(is, may, peak) {
  const calls = Object.values(peak).reduce((sum, one) => sum + one, 0);
  const asRequests = peak.requests + peak.refreshes * may.refreshRequests;
  const work = (me, message, file) => asRequests * me + peak.messages * message + peak.files * file;
  const planned = (microseconds) => seconds(microseconds) / may.busy;
  return {
    node: planned(work(is.meNode, is.publishNode, is.fileNode) + calls * is.redisNode),
    hashing: planned(peak.logins * is.loginMs * 1000),
    database: planned(work(is.meDatabase, is.publishDatabase, is.fileDatabase)),
    redis: planned(calls * is.redisRedis),
    nginx: planned(calls * is.nginx),
  };
}

const tablesOf = (is, may, active) => [
  ['users', MILLION, is.usersBytes],
  ['sessions', MILLION * may.sessions, is.sessionsBytes],
  ['uploads', MILLION * may.totalFiles, is.uploadsBytes],
  ['messages', active * may.messages * may.retention, is.messageBytes],
  ['audit log, a year', active * may.auditEntries * 365, is.audit_logBytes],
];

function logBytes(is, may, active) {
  const rows = may.files * is.uploadsBytes + may.auditEntries * is.audit_logBytes + may.logins * is.sessionsBytes;
  const measured = may.messages * is.publishLogBytes;
  return active * (measured + may.refreshes * may.refreshLogBytes + rows * may.logFactor);
}
