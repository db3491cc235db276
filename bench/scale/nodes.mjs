import { startDatabaseServer } from '../lib/database.mjs';
import { hasNginx, startBalancer } from '../lib/nginx.mjs';
import { hasRedis, startRedis } from '../lib/redis.mjs';
import { print } from '../lib/report.mjs';
import { assemble, families, startMember } from './crew.mjs';
import { measureCrews, SIZES } from './measure.mjs';

/** Many hosts, as far as one can show it: 1, 2 and 4 nodes behind nginx, with one PostgreSQL and one Redis. */
export async function run(stage) {
  if (!hasNginx()) {
    print('nginx is not on the PATH: there is nothing to stand before the nodes');
    return { results: [] };
  }
  const redis = hasRedis() ? await startRedis(stage) : null;
  if (!redis) print('redis-server is not on the PATH: each node counts limits for itself\n');
  const database = await startDatabaseServer(stage, { max_connections: 300 });
  const crews = [];
  for (const size of SIZES) crews.push(await startNodes(stage, { size, database, redis }));
  return measureCrews(stage, crews);
}

async function startNodes(stage, { size, database, redis }) {
  const DATABASE_URL = await database.createDatabase(`nodes_${size}`);
  const environment = { DATABASE_URL, TRUST_PROXY: 'loopback', ...(redis && { REDIS_URL: redis.url(size) }) };
  const nodes = [];
  for (let n = 0; n < size; n++) nodes.push(await startMember(stage, environment));
  const pids = nodes.map(({ pid }) => pid);
  const entrances = nodes.map(({ url }) => url);
  const balancer = await startBalancer(stage, entrances);
  return assemble(stage, {
    name: size === 1 ? 'one node' : `${size} nodes`,
    url: balancer.url,
    entrances,
    pids,
    kinds: {
      node: families(...pids),
      database: families(database.pid),
      ...(redis && { redis: families(redis.pid) }),
      nginx: families(balancer.pid),
    },
  });
}
