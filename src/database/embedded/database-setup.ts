import pg from 'pg';
import { SUPERUSER } from './cluster.js';
import { EmbeddedPostgresError } from './embedded-postgres.errors.js';
import type { DatabaseConnection } from './embedded-postgres.js';

const INVALID_PASSWORD = '28P01';
const NO_SUCH_DATABASE = '3D000';

/**
 * Makes the application's role and database where they are missing (also after a start that was cut short between the two). The role owns
 * its databases and may create more, but is no superuser: SQL that gets through it cannot run programs or read the server's files.
 */
export async function ensureDatabase(wanted: DatabaseConnection, isFresh: boolean): Promise<void> {
  if (!isFresh && (await canConnect(wanted))) return;
  const client = new pg.Client({ ...wanted, user: SUPERUSER, database: 'postgres' });
  try {
    await client.connect();
  } catch (error) {
    if ((error as { code?: string }).code !== INVALID_PASSWORD) throw error;
    throw new EmbeddedPostgresError(
      `Embedded PostgreSQL does not accept the password kept next to its data: restore data and password file from the same backup`,
      { cause: error },
    );
  }
  try {
    await createMissing(client, wanted);
  } finally {
    await client.end();
  }
}

async function createMissing(client: pg.Client, { user, password, database }: DatabaseConnection): Promise<void> {
  const role = client.escapeIdentifier(user);
  const { rowCount: roles } = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [user]);
  const secret = `LOGIN CREATEDB PASSWORD ${client.escapeLiteral(password)}`;
  await client.query(`${roles ? 'ALTER' : 'CREATE'} ROLE ${role} ${secret}`);
  const { rowCount: databases } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
  if (!databases) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)} OWNER ${role}`);
}

async function canConnect(connection: DatabaseConnection): Promise<boolean> {
  const client = new pg.Client(connection);
  try {
    await client.connect();
  } catch (error) {
    if ([INVALID_PASSWORD, NO_SUCH_DATABASE].includes((error as { code?: string }).code ?? '')) return false;
    throw error;
  }
  await client.end();
  return true;
}
