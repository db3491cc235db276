import { startDatabaseServer } from '../lib/database.mjs';
import { hasRedis, startRedis } from '../lib/redis.mjs';
import { print } from '../lib/report.mjs';
import { assemble, families, startMember } from './crew.mjs';
import { measureCrews } from './measure.mjs';

/** What counting limits in Redis costs a request: one process without `REDIS_URL`, and one with it. */
export async function run(stage) {
  if (!hasRedis()) {
    print('redis-server is not on the PATH');
    return { results: [] };
  }
  const redis = await startRedis(stage);
  const database = await startDatabaseServer(stage);
  const crews = [];
  for (const REDIS_URL of [null, redis.url(0)]) {
    const DATABASE_URL = await database.createDatabase(REDIS_URL ? 'counted_in_redis' : 'counted_here');
    const member = await startMember(stage, { DATABASE_URL, ...(REDIS_URL && { REDIS_URL }) });
    crews.push(
      await assemble(stage, {
        name: REDIS_URL ? 'with REDIS_URL' : 'without',
        url: member.url,
        entrances: [member.url],
        pids: [member.pid],
        kinds: { node: families(member.pid), database: families(database.pid), redis: families(redis.pid) },
      }),
    );
  }
  return measureCrews(stage, crews, ['who-am-i', 'publish, one channel']);
}
