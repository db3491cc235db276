import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, chownSync, constants, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { freePort } from './uploads.js';
import { letGo } from './held-process.js';

/** Debian's is where only root looks. */
const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];

function findProgram(): string | null {
  for (const folder of FOLDERS) {
    const program = join(folder, 'pgbouncer');
    try {
      accessSync(program, constants.X_OK);
      return program;
    } catch {
      // Perhaps in the next one.
    }
  }
  return null;
}

/** Whether the Debian package pgbouncer is installed. */
export const hasPgBouncer = (): boolean => findProgram() !== null;

export interface PooledServer {
  /** The folder of the server's socket. */
  readonly host: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

interface PgBouncerOptions {
  readonly poolSize: number;
  readonly mode?: 'transaction' | 'session';
  /** As `docs/postgresql.md` has it. */
  readonly connectQuery?: string;
}

const TIMEOUTS = 'SET statement_timeout = 15000; SET idle_in_transaction_session_timeout = 15000';

/** A pooler before a server that listens on a socket. It keeps its port when it is started again. */
export class PgBouncer {
  private process: ChildProcess | null = null;

  private constructor(
    private readonly program: string,
    private readonly server: PooledServer,
    private readonly port: number,
    private readonly directory: string,
  ) {}

  /** Not running yet. */
  static async before(server: PooledServer, options: PgBouncerOptions): Promise<PgBouncer> {
    const program = findProgram();
    if (!program) throw new Error('There is no pgbouncer: install the package pgbouncer');
    const bouncer = new PgBouncer(program, server, await freePort(), mkdtempSync(join(tmpdir(), 'pgbouncer-')));
    bouncer.configure(options);
    return bouncer;
  }

  get url(): string {
    const { user, password, database } = this.server;
    return `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${this.port}/${database}`;
  }

  /** Resolves when it takes connections. A shell holds a pipe from this process and kills the pooler at its end. */
  async start(): Promise<void> {
    const script = '"$@" & pooler=$!; cat >/dev/null; kill -9 $pooler; wait $pooler';
    const pooler = spawn('sh', ['-c', script, 'sh', this.program, join(this.directory, 'pgbouncer.ini')], {
      ...this.owner,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.process = pooler;
    const said: string[] = [];
    const isReady = await new Promise<boolean>((resolve) => {
      createInterface(pooler.stderr).on('line', (line) => {
        said.push(line);
        if (/process up/.test(line)) resolve(true);
        if (/FATAL/.test(line)) resolve(false);
      });
      pooler.once('exit', () => resolve(false));
    });
    if (isReady) return;
    await this.stop();
    throw new Error(`PgBouncer does not start:\n${said.join('\n')}`);
  }

  /** At once, as when it is killed. */
  async stop(): Promise<void> {
    const pooler = this.process;
    this.process = null;
    await letGo(pooler);
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Connections to it and from it to the server, as it counts them. */
  async connections(): Promise<{ clients: number; servers: number }> {
    const { user, password, database } = this.server;
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user, password, database: 'pgbouncer' });
    await client.connect();
    try {
      const { rows } = await client.query<Record<string, string>>('SHOW POOLS');
      const pool = rows.find((row) => row.database === database) ?? {};
      const sum = (...names: string[]) => names.reduce((total, name) => total + Number(pool[name] ?? 0), 0);
      return {
        clients: sum('cl_active', 'cl_waiting'),
        servers: sum('sv_active', 'sv_idle', 'sv_used', 'sv_tested', 'sv_login'),
      };
    } finally {
      await client.end();
    }
  }

  /** It does not run as root, and the socket is for the server's user alone. */
  private get owner(): { uid: number; gid: number } | undefined {
    if (process.getuid?.() !== 0) return undefined;
    const { uid, gid } = statSync(this.server.host);
    return { uid, gid };
  }

  private configure({ poolSize, mode = 'transaction', connectQuery = TIMEOUTS }: PgBouncerOptions): void {
    const { host, user, password, database } = this.server;
    const settings = {
      listen_addr: '127.0.0.1',
      listen_port: this.port,
      unix_socket_dir: '',
      auth_type: 'scram-sha-256',
      auth_file: join(this.directory, 'users.txt'),
      admin_users: user,
      pool_mode: mode,
      default_pool_size: poolSize,
      max_client_conn: 500,
      query_wait_timeout: 10,
      server_login_retry: 1,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
    this.write('users.txt', `"${user}" "${password}"\n`);
    this.write(
      'pgbouncer.ini',
      [
        '[databases]',
        `${database} = host=${host} port=5432 connect_query='${connectQuery}'`,
        '[pgbouncer]',
        ...lines,
        '',
      ].join('\n'),
    );
    if (this.owner) chownSync(this.directory, this.owner.uid, this.owner.gid);
  }

  private write(name: string, text: string): void {
    const file = join(this.directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    if (this.owner) chownSync(file, this.owner.uid, this.owner.gid);
  }
}
