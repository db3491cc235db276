import { formatTable } from './report.mjs';
import { brief } from './summary.mjs';
import { cores, count, gigabytes, percent, seconds } from './units.mjs';

const MILLION = 1_000_000;
/** Of one address of a proxy to one address and port. */
const PORTS = 28_000;
const OTHER_FILES = 500;

/** Sized for the hour after a host is lost: the others carry all sockets. */
export function millionSockets(is, may) {
  const processes = Math.ceil(MILLION / may.socketsAProcess);
  const hosts = Math.ceil(processes / may.processesAHost);
  const most = (may.socketsAProcess * hosts) / (hosts - 1);
  const connections = processes * (may.poolSize + may.ownConnections) + may.spareConnections;
  return formatTable(
    ['', 'how', 'result'],
    [
      ['processes', '10⁶ ÷ sockets of a process', `${processes} on ${hosts} hosts`],
      ['sockets of a process when a host is lost', 'sockets × hosts ÷ (hosts − 1)', count(most)],
      ...memoryRows(is, may, most),
      ['… open files of a process', 'these sockets + 500', count(most + OTHER_FILES)],
      ['… ports between proxy and one process', `a connection each, of about ${count(PORTS)}`, percent(most / PORTS)],
      ['database connections', 'processes × (pool + own) + spare', count(connections)],
      ...messageRows(is, may, { processes, most }),
      ...returnRows(is, may, { processes, most }),
      [
        'at rest: PostgreSQL',
        'processes × its part of a process',
        `${percent(seconds(processes * is.idleDatabase))} of a core`,
      ],
    ],
  );
}

function memoryRows(is, may, most) {
  const process = is.idleMegabytes * 1e6 + most * is.socketKilobytes * 1024;
  const host = may.processesAHost * (process + most * may.kernelKilobytes * 1024);
  return [
    ['… memory of a process', 'idle + these sockets × KB', gigabytes(process)],
    ['… memory of a host', 'its processes, with the kernel’s part', gigabytes(host)],
  ];
}

function messageRows(is, may, { processes, most }) {
  const delivery = seconds(may.socketsAProcess * is.deliveryNode);
  const afterLoss = seconds(most * is.deliveryNode);
  const database = is.publishDatabase + (processes - 1) * (is.publisherDatabase + is.readerDatabase);
  return [
    ['a message to all: each process', 'sockets × delivery', `${brief(delivery)} s of its core`],
    ['… when a host is lost', 'these sockets × delivery', `${brief(afterLoss)} s of its core`],
    ['… all processes', '', `${brief(seconds(MILLION * is.deliveryNode))} core-seconds`],
    ['… how often that can be', 'busy ÷ seconds when a host is lost', `${brief(may.busy / afterLoss)} a second`],
    [
      '… as often as assumed, Node, when a host is lost',
      'delivery × messages',
      `${percent(afterLoss * may.systemMessages)} of each core`,
    ],
    [
      '… PostgreSQL',
      'publish + each further node that publishes and reads, extrapolated from 4',
      `${brief(database / 1000)} ms`,
    ],
    [
      'messages to readers on every node that one core of PostgreSQL carries',
      '1 ÷ cost, in the batches of 32 publishers, extrapolated from 4',
      `${count(1e6 / database)} a second`,
    ],
  ];
}

function returnRows(is, may, { processes, most }) {
  const lost = may.socketsAProcess * may.processesAHost;
  const others = processes - may.processesAHost;
  const handshakes = lost / may.returnSeconds;
  const returns = seconds(lost * is.returnNode) / others;
  const messages = seconds(most * is.deliveryNode) * may.systemMessages;
  const database = seconds(lost * is.returnDatabase);
  return [
    ['a host is lost: sockets to come back', 'its processes', count(lost)],
    ['… handshakes', '÷ back-off', `${count(handshakes)} a second, ${count(handshakes / others)} a process`],
    ['… each other process', 'sockets × CPU ÷ others', `${brief(returns)} s of its core`],
    [
      '… … within the back-off, with the messages as assumed',
      'returns ÷ back-off + these sockets × delivery × messages',
      `${percent(returns / may.returnSeconds + messages)} of each core`,
    ],
    ['… PostgreSQL', 'sockets × CPU', `${brief(database)} core-seconds`],
    ['… … within the back-off', '÷ back-off', cores(database / may.returnSeconds)],
  ];
}
