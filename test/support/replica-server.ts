import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import pg from 'pg';
import type { EmbeddedPostgres } from '../../src/database/embedded/embedded-postgres.js';
import { freePort } from './uploads.js';
import { letGo } from './held-process.js';

const SUPERUSER = 'postgres';
const OF_THE_SERVER_ALONE = ['postmaster.pid', 'postmaster.opts'];

/** A streaming replica of a server that runs, from a base backup. It keeps its port when it is started again. */
export class ReplicaServer {
  private process: ChildProcess | null = null;
  private readonly said: string[] = [];

  private constructor(
    private readonly primary: EmbeddedPostgres,
    private readonly directory: string,
    private readonly port: number,
  ) {}

  /** Not running yet. */
  static async of(primary: EmbeddedPostgres): Promise<ReplicaServer> {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-replica-'));
    chmodSync(directory, 0o711);
    const replica = new ReplicaServer(primary, directory, await freePort());
    await replica.copy();
    return replica;
  }

  get url(): string {
    const { user, password, database } = this.primary.connection;
    return `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${this.port}/${database}`;
  }

  /** Resolves when it takes connections. A shell holds a pipe from this process and kills the server at its end. */
  async start(): Promise<void> {
    const { host, port, password } = this.primary.connection;
    const settings = {
      primary_conninfo: `host=${host} port=${port} user=${SUPERUSER} password=${password}`,
      port: this.port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'off',
      shared_buffers: '16MB',
      wal_retrieve_retry_interval: '200ms',
      log_statement: 'all',
      log_line_prefix: '%a|',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const script = '"$@" & server=$!; cat >/dev/null; kill -9 $server; wait $server';
    const program = readlinkSync(`/proc/${this.primary.serverPid}/exe`);
    const server = spawn('sh', ['-c', script, 'sh', program, '-D', this.data, ...args], {
      ...this.owner,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.process = server;
    this.said.length = 0;
    const isReady = await new Promise<boolean>((resolve) => {
      createInterface(server.stderr).on('line', (line) => {
        this.said.push(line);
        if (/ready to accept read-only connections/.test(line)) resolve(true);
        // Whoever knocks too early is turned away with a FATAL of his own.
        if (/FATAL/.test(line) && !/database system is (starting up|not yet accepting)/.test(line)) resolve(false);
      });
      server.once('exit', () => resolve(false));
    });
    if (isReady) return;
    await this.stop();
    throw new Error(`The replica does not start:\n${this.said.join('\n')}`);
  }

  /** What those of a name have asked since it was started. */
  statementsOf(applicationName: string): string[] {
    const begin = new RegExp(`^${applicationName}\\|LOG: +(?:statement|execute [^:]*): `);
    return this.said.filter((line) => begin.test(line)).map((line) => line.replace(begin, ''));
  }

  /** SIGSTOP lets everybody wait who is connected. */
  async signalBackends(signal: NodeJS.Signals, pids?: readonly number[]): Promise<number[]> {
    const found = pids ?? (await this.backends());
    for (const pid of found) process.kill(pid, signal);
    return [...found];
  }

  private async backends(): Promise<number[]> {
    const rows = await this.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'gatehouse%'`,
    );
    return rows.map(({ pid }) => pid);
  }

  /** As its administrator. */
  async query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    const { rows } = await asSuperuser<Row>({ ...this.primary.connection, host: '127.0.0.1', port: this.port }, sql);
    return rows;
  }

  /** At once, as when it is killed. */
  async stop(): Promise<void> {
    const server = this.process;
    this.process = null;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    // Its processes hold its standard error, and the shared memory, until the last has ended.
    const closed = once(server, 'close');
    await letGo(server);
    await closed;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  private get data(): string {
    return join(this.directory, 'data');
  }

  /** Whom the server runs as, where that is not this process's user. */
  private get owner(): { uid: number; gid: number } | undefined {
    if (process.getuid?.() !== 0) return undefined;
    const { uid, gid } = statSync(this.data);
    return { uid, gid };
  }

  /** What `pg_basebackup` does, which is not among the embedded programs. */
  private async copy(): Promise<void> {
    const client = new pg.Client({ ...this.primary.connection, user: SUPERUSER });
    await client.connect();
    try {
      const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
      await client.query(`SELECT pg_backup_start('replica', true)`);
      await promisify(execFile)('cp', ['-a', rows[0].data_directory, this.data]);
      const backup = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
      writeFileSync(join(this.data, 'backup_label'), backup.rows[0].labelfile, { mode: 0o644 });
      writeFileSync(join(this.data, 'standby.signal'), '', { mode: 0o644 });
      for (const name of OF_THE_SERVER_ALONE) rmSync(join(this.data, name), { force: true });
      await this.giveToServer();
    } finally {
      await client.end();
    }
  }

  private async giveToServer(): Promise<void> {
    if (!this.owner) return;
    const { uid, gid } = this.owner;
    await promisify(execFile)('chown', [
      `${uid}:${gid}`,
      join(this.data, 'backup_label'),
      join(this.data, 'standby.signal'),
    ]);
  }
}

async function asSuperuser<Row extends pg.QueryResultRow>(connection: pg.ClientConfig, sql: string) {
  const client = new pg.Client({ ...connection, user: SUPERUSER });
  await client.connect();
  try {
    return await client.query<Row>(sql);
  } finally {
    await client.end();
  }
}
