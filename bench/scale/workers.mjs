import { startDatabaseServer } from '../lib/database.mjs';
import { cpuOf, cpuOfFamily } from '../lib/process-usage.mjs';
import { assemble, families, startMember } from './crew.mjs';
import { measureCrews, SIZES } from './measure.mjs';

/** One host: 1, 2 and 4 processes behind one port. */
export async function run(stage) {
  const database = await startDatabaseServer(stage, { max_connections: 300 });
  const crews = [];
  for (const size of SIZES) {
    const DATABASE_URL = await database.createDatabase(`workers_${size}`);
    const member = await startMember(stage, { DATABASE_URL, WEB_CONCURRENCY: String(size) });
    crews.push(
      await assemble(stage, {
        name: size === 1 ? 'one process' : `${size} workers`,
        url: member.url,
        entrances: Array.from({ length: size }, () => member.url),
        pids: [member.pid],
        kinds: { ...kindsOf(member, size), database: families(database.pid) },
      }),
    );
  }
  return measureCrews(stage, crews);
}

/** The process above the workers answers nothing, and has its share all the same. */
const kindsOf = ({ pid }, size) =>
  size === 1 ? { node: families(pid) } : { node: () => cpuOfFamily(pid) - cpuOf(pid), primary: () => cpuOf(pid) };
