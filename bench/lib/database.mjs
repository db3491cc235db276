import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../dist/src/database/embedded/embedded-postgres.js';
import { noteDatabase } from './machine.mjs';

const SUPERUSER = 'postgres';

/** The product's own PostgreSQL with the product's own settings, in a temporary directory; whoever is measured uses this one. */
export async function startDatabaseServer(stage, settings = {}) {
  const directory = join(stage.temporaryDirectory(), 'postgres');
  // The library only waits here: nothing is explained until `explained()` turns it on.
  const server = await startEmbeddedPostgres({
    directory,
    settings: { session_preload_libraries: 'auto_explain', ...settings },
  });
  stage.onClose(() => server.stop());
  const database = new DatabaseServer(server, join(directory, 'server.log'));
  const { rows } = await database.withClient((client) => client.query('SHOW server_version'));
  noteDatabase(rows[0].server_version);
  return database;
}

class DatabaseServer {
  #server;
  #log;

  constructor(server, log) {
    this.#server = server;
    this.#log = log;
  }

  get pid() {
    return this.#server.serverPid;
  }

  get connection() {
    return this.#server.connection;
  }

  /** `host` is the folder of a unix socket; percent-encoded, it takes the place of a host name. */
  url(database = this.#server.connection.database) {
    const { user, password, host, port } = this.#server.connection;
    return `postgres://${user}:${encodeURIComponent(password)}@${encodeURIComponent(host)}:${port}/${database}`;
  }

  async createDatabase(name) {
    await this.withClient((client) => client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`));
    return this.url(name);
  }

  async withClient(work, overrides = {}) {
    const client = new pg.Client({ ...this.#server.connection, ...overrides });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** The plans, with what they really cost, of all statements that run on the server while `work` does. */
  async explained(work) {
    const asSuperuser = (statements) =>
      this.withClient(
        async (client) => {
          for (const statement of statements) await client.query(statement);
          // Sessions notice a reload with the next message that they read.
          await new Promise((resolve) => setTimeout(resolve, 500));
        },
        { user: SUPERUSER, database: 'postgres' },
      );
    const set = { format: 'json', log_analyze: 'on', log_buffers: 'on', log_min_duration: '0' };
    const names = Object.keys(set).map((key) => [key === 'format' ? 'log_format' : key, set[key]]);
    await asSuperuser([
      ...names.map(([key, value]) => `ALTER SYSTEM SET auto_explain.${key} = '${value}'`),
      'SELECT pg_reload_conf()',
    ]);
    const from = statSync(this.#log).size;
    try {
      await work();
      await new Promise((resolve) => setTimeout(resolve, 200));
      return readPlans(readFileSync(this.#log).subarray(from).toString('utf8'));
    } finally {
      await asSuperuser([...names.map(([key]) => `ALTER SYSTEM RESET auto_explain.${key}`), 'SELECT pg_reload_conf()']);
    }
  }
}

/** A plan begins behind its statement's duration and goes on in lines that begin with a tab. */
function readPlans(log) {
  const entries = log.matchAll(/duration: ([\d.]+) ms {2}plan:\n((?:\t.*\n)+)/g);
  return [...entries].map(([, duration, json]) => ({ milliseconds: Number(duration), ...JSON.parse(json) }));
}
