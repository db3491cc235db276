import { accountOf, signIn, signUp } from '../lib/api.mjs';
import { cpuOf, cpuOfFamily, memoryOfFamily } from '../lib/process-usage.mjs';
import { ADMIN, startProduct } from '../lib/servers.mjs';
import { sum } from '../lib/statistics.mjs';
import { startSubscribers } from '../lib/subscribers.mjs';

const ACCOUNTS = 16;

/** Limits count as always; a socket is a user's, and a thousand are. */
const ENVIRONMENT = { BCRYPT_COST: '10', SOCKET_CONNECTIONS: '1000000' };

/** One process of the product, or one with its workers, in a database of its own: others' announcements do not reach it. */
export const startMember = (stage, environment) => startProduct(stage, { ...ENVIRONMENT, ...environment });

/**
 * What is measured together: processes that answer at `url`, and what they ask.
 *
 * @param kinds processor time is told apart by these (`node`, `database`, …): each tells what its processes have taken so far
 * @param pids of its Node processes, without the workers
 * @param entrances a subscriber at each makes every node read the log
 */
export async function assemble(stage, { name, url, entrances, kinds, pids }) {
  const server = { url };
  const tokens = [];
  for (let n = 0; n < ACCOUNTS; n++) tokens.push(await signUp(server, accountOf(n)));
  const admin = await signIn(server, ADMIN);
  return { name, url, entrances, kinds, pids, tokens, admin, subscribers: startSubscribers(stage) };
}

/** Microseconds of processor time that each kind of process takes for `work`, besides what `work` resolves with. */
export async function withCpu({ kinds, subscribers }, work) {
  const read = () => ({
    ...Object.fromEntries(Object.entries(kinds).map(([kind, cpu]) => [kind, cpu()])),
    clients: cpuOf(subscribers.pid),
  });
  const before = read();
  const result = await work();
  const after = read();
  const cpu = Object.fromEntries(Object.keys(before).map((kind) => [kind, after[kind] - before[kind]]));
  return { ...result, cpu: { ...cpu, clients: cpu.clients + (result?.generatorMicroseconds ?? 0) } };
}

/** Megabytes of all its Node processes, what they share counted once. */
export const memoryOfCrew = ({ pids }) => sum(pids.map(memoryOfFamily));

/** Of processes with their children. */
export const families =
  (...pids) =>
  () =>
    sum(pids.map(cpuOfFamily));
