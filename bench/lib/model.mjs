// The arithmetic of docs/scaling.md: figures of the bench, assumptions that anybody can change (assumptions.mjs), and what follows from both.
import { ASSUMPTIONS, assumed } from './assumptions.mjs';
import { describeCrews } from './crew-comparison.mjs';
import { millionSockets } from './million-sockets.mjs';
import { millionUsers } from './million-users.mjs';
import { formatTable } from './report.mjs';
import { brief } from './summary.mjs';
import { perCore } from './units.mjs';

/** @param evidence of `evidence.mjs` */
export function describeModel(evidence) {
  const is = Object.fromEntries(Object.entries(evidence).map(([name, { value }]) => [name, value]));
  const may = assumed();
  return [
    ['What a thing costs', `${costs(is, evidence)}\n\n${carried(is)}`],
    ['What a second node or worker gave', describeCrews()],
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
  const pair = (key) => (key ? [brief(is[key]), perCore(is[key])] : ['', '']);
  const line = (what, { node, database, other }) => [
    what,
    ...[node, database, other].flatMap(pair),
    `\`${evidence[node ?? other].source}\``,
  ];
  const perSignIn = [brief(is.loginMs * 1000), brief(1000 / is.loginMs)];
  return formatTable(
    ['', ...['Node µs', 'PostgreSQL µs', 'other µs'].flatMap((kind) => [kind, 'a core gives']), 'from'],
    [
      line('`GET /users/me`', { node: 'meNode', database: 'meDatabase' }),
      line('… its limits in Redis, in addition; other: Redis', { node: 'redisNode', other: 'redisRedis' }),
      line('… its limits in the primary of workers, in addition', { node: 'workers' }),
      line('… through nginx, in addition; other: nginx', { other: 'nginx' }),
      ['a sign-in, cost 12', ...perSignIn, '', '', '', '', '`login`'],
      line('a file of 10 KB', { node: 'fileNode', database: 'fileDatabase' }),
      line('a durable message', { node: 'publishNode', database: 'publishDatabase' }),
      line('… each further node that publishes', { node: 'publisherNode', database: 'publisherDatabase' }),
      line('… each further node that reads it, in addition', { node: 'readerNode', database: 'readerDatabase' }),
      line('… its delivery to a socket, 1 KB', { node: 'deliveryNode' }),
      line('a socket that comes back', { node: 'returnNode', database: 'returnDatabase' }),
      line('a process that nobody asks, a second', { node: 'idleNode', database: 'idleDatabase' }),
    ],
  );
}

/** Of requests like `who-am-i`. */
function carried(is) {
  const node = is.meNode + is.redisNode;
  return [
    `Of requests like \`who-am-i\`, a core of PostgreSQL carries ${brief(node / is.meDatabase)} cores of Node,`,
    `and a core of Redis ${brief(node / is.redisRedis)}.`,
    'What each further node adds is the slope over 1, 2 and 4 nodes; more nodes than 4 are extrapolated from it.',
  ].join(' ');
}
