import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { DatabaseConnection } from '../../src/database/embedded/embedded-postgres.js';

export const TEMPLATE_DATABASE = 'gatehouse_template';
/** Copying a database waits for no other copy, so that test files that start at once take turns. */
const COPY_LOCK = 1;

export interface TestDatabase {
  connection: DatabaseConnection;
  /** For looking at what is really stored, and for arranging what no route arranges. */
  pool: pg.Pool;
  drop(): Promise<void>;
}

/** A database of its own with the current schema. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = JSON.parse(process.env.GATEHOUSE_TEST_DATABASE ?? '') as DatabaseConnection;
  const name = `test_${randomBytes(8).toString('hex')}`;
  await asMaintenance(server, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [COPY_LOCK]);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE_DATABASE} STRATEGY file_copy`);
  });
  const connection = { ...server, database: name };
  const pool = new pg.Pool({ ...connection, max: 4 });
  pool.on('error', () => {});
  return {
    connection,
    pool,
    drop: async () => {
      await pool.end();
      await asMaintenance(server, (client) => drop(client, name));
    },
  };
}

/** FORCE may not end an autovacuum worker that happens to be there; without it the server ends that by itself. */
async function drop(client: pg.Client, name: string): Promise<void> {
  try {
    await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
  } catch (error) {
    if ((error as { code?: string }).code !== '42501') throw error;
    await client.query(`DROP DATABASE ${name}`);
  }
}

async function asMaintenance(server: DatabaseConnection, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ ...server, database: 'postgres' });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
