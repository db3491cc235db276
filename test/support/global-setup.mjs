import '../../scripts/build-if-stale.mjs';
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const TEMPLATE_DATABASE = 'gatehouse_template';

/**
 * One PostgreSQL for all tests, with a migrated database that each test application copies. Nothing in it need survive.
 * Jest compiles tests, not this file: so it takes the program as built, which the black-box tests start as well.
 */
export default async function setup() {
  const { startEmbeddedPostgres } = await import('../../dist/src/database/embedded/embedded-postgres.js');
  const { migrate } = await import('../../dist/src/database/migrate.js');
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-test-'));
  chmodSync(directory, 0o711);
  const server = await startEmbeddedPostgres({
    directory: join(directory, 'postgres'),
    database: TEMPLATE_DATABASE,
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: 200 },
  });
  await migrate(server.connection);
  process.env.GATEHOUSE_TEST_DATABASE = JSON.stringify(server.connection);
  globalThis.gatehouseTestServer = { server, directory };
}
