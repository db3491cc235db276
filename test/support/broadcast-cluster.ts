import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileOwner, Owner, type OwnerMessage } from './embedded-owner-process.js';
import { Program, temporaryDataDir } from './program.js';
import { freePort } from './uploads.js';

const admin = { email: 'admin@example.com', password: 'SecurePass123!' };
const SETTINGS = {
  HOST: '127.0.0.1',
  JWT_SECRET: 'b7Qm2xZr9LwTfK4sVn8JhC3dYp6GaE5u',
  JWT_ACCESS_TTL: '86400',
  ADMIN_EMAIL: admin.email,
  ADMIN_PASSWORD: admin.password,
  BCRYPT_COST: '10',
  RATE_LIMIT_ENABLED: 'false',
  SOCKET_EVENT_RATE: '100000/10',
  BROADCAST_RETENTION_COUNT: '10000000',
  LOG_LEVEL: 'warn',
};

export interface Reply {
  status: number;
  body: any;
}

/** `null` when the connection ended without an answer. */
export async function request(
  url: string,
  token: string | null,
  { method = 'GET', body }: { method?: string; body?: object } = {},
): Promise<Reply | null> {
  let status = 0;
  try {
    const response = await fetch(url, {
      method,
      headers: {
        ...(token !== null && { Authorization: `Bearer ${token}` }),
        ...(body && { 'Content-Type': 'application/json' }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(60_000),
    });
    status = response.status;
    const text = await response.text();
    return { status, body: text === '' ? null : JSON.parse(text) };
  } catch (error) {
    // One that hangs is a fault of the server, one that is cut is what these tests do.
    if ((error as Error).name === 'TimeoutError') throw new Error(`no answer of ${url}, ${status}`, { cause: error });
    return null;
  }
}

/** A PostgreSQL server in a folder and a process of its own, which can be killed and started again. */
export class Database {
  private readonly compiled = compileOwner();
  private readonly directory = mkdtempSync(join(tmpdir(), 'gatehouse-outside-'));
  private owner: Owner | null = null;
  private server: OwnerMessage | null = null;

  get connection(): OwnerMessage['connection'] {
    if (!this.server) throw new Error('the database does not run');
    return this.server.connection;
  }

  get pid(): number {
    return this.server?.serverPid ?? 0;
  }

  get url(): string {
    const { user, password, host, database } = this.connection;
    return `postgres://${user}:${encodeURIComponent(String(password))}@localhost/${database}?host=${encodeURIComponent(host)}`;
  }

  async start(): Promise<void> {
    chmodSync(this.directory, 0o711);
    this.owner = Owner.launch(this.compiled, join(this.directory, 'postgres'));
    this.server = await this.owner.ready();
  }

  /** The postmaster, as the kernel kills it when memory is short. Resolves when it has ended. */
  async kill(): Promise<void> {
    const { owner, server } = this;
    if (!owner || !server) throw new Error('the database does not run');
    process.kill(server.serverPid, 'SIGKILL');
    const { event } = await owner.next();
    if (event !== 'server-exit') throw new Error(`expected the end of the database, got: ${event}`);
    await owner.stop();
  }

  async end(): Promise<void> {
    await this.owner?.stop();
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(this.compiled, { recursive: true, force: true });
  }
}

/** One of several programs on the same database, always on the same port. */
export class ClusterNode {
  private readonly data = temporaryDataDir();
  private program: Program | null = null;
  /** How often it was killed. */
  kills = 0;
  /** Ends that nobody has asked for. */
  readonly faults: string[] = [];
  /** Rejects at the first of those, for whoever waits for the node. */
  readonly failure: Promise<never>;
  private fail: (error: Error) => void = () => undefined;

  constructor(
    readonly name: string,
    readonly port: number,
    private readonly settings: () => Record<string, string>,
  ) {
    this.failure = new Promise((_resolve, reject) => (this.fail = reject));
    this.failure.catch(() => undefined);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.program?.pid ?? 0;
  }

  /** What it has said since its last start. */
  get log(): string {
    return `${this.program?.stdout ?? ''}${this.program?.stderr ?? ''}`;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const program = new Program({
      ...SETTINGS,
      PORT: String(this.port),
      DATA_DIR: this.data.path,
      ...this.settings(),
    });
    this.program = program;
    void program.exit().then(({ code, signal }) => {
      if (this.program !== program) return;
      this.faults.push(`${this.name} ended by itself, ${code ?? signal}: ${program.stderr}${program.stdout}`);
      this.fail(new Error(this.faults[0]));
    });
    await program.says(/listening on/);
  }

  async kill(): Promise<void> {
    const { program } = this;
    this.program = null;
    this.kills++;
    await program?.kill();
  }

  /** As a supervisor stops it. */
  async stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null } | undefined> {
    const { program } = this;
    this.program = null;
    program?.signal('SIGTERM');
    return program?.exit();
  }

  async end(): Promise<void> {
    const { program } = this;
    this.program = null;
    await program?.kill();
    this.data.remove();
  }
}

/** Someone who is signed in. The nodes share a secret, so a token is good at both. */
export interface ClusterUser {
  id: string;
  token: string;
}

/** Two nodes on one PostgreSQL. */
export class Cluster {
  readonly database = new Database();
  readonly nodes: ClusterNode[] = [];
  admin!: ClusterUser;

  static async start(settings: Record<string, string> = {}): Promise<Cluster> {
    const cluster = new Cluster();
    try {
      await cluster.database.start();
      const all = () => ({ ...settings, DATABASE_URL: cluster.database.url });
      for (const name of ['A', 'B']) cluster.nodes.push(new ClusterNode(`node ${name}`, await freePort(), all));
      // The first one makes the tables.
      for (const node of cluster.nodes) await node.start();
      cluster.admin = await cluster.signIn(admin);
      return cluster;
    } catch (error) {
      await cluster.end();
      throw error;
    }
  }

  async aUser(username: string): Promise<ClusterUser> {
    const user = { username, email: `${username}@example.com`, password: 'SecurePass123!' };
    await this.call('/auth/register', null, { method: 'POST', body: user }, 201);
    return this.signIn(user);
  }

  async signIn({ email, password }: { email: string; password: string }): Promise<ClusterUser> {
    const { access_token, user } = await this.call('/auth/login', null, { method: 'POST', body: { email, password } });
    return { id: user.id, token: access_token };
  }

  /** @param status what the answer must have; gives its body */
  async call(
    path: string,
    token: string | null,
    { node = this.nodes[0], ...options }: { node?: ClusterNode; method?: string; body?: object } = {},
    status = 200,
  ): Promise<any> {
    const reply = await request(`${node.url}/api/v1${path}`, token, options);
    if (reply?.status !== status) throw new Error(`${options.method ?? 'GET'} ${path}: ${JSON.stringify(reply)}`);
    return reply.body;
  }

  /** What a channel keeps, page by page. */
  async history(channel: string, token: string, node?: ClusterNode) {
    const items: any[] = [];
    for (;;) {
      const path = `/broadcasting/messages?channel=${channel}&after=${items.at(-1)?.sequence ?? 0}&limit=500`;
      const page = await this.call(path, token, { node });
      items.push(...page.items);
      if (page.items.length < 500) return { ...page, items } as HistoryAnswer;
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end()));
    await this.database.end();
  }
}

/** What stands before the nodes: each connection goes to the first of them that takes it. */
export class Balancer {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    private readonly nodes: readonly ClusterNode[],
  ) {
    server.on('connection', (client) => {
      this.track(client);
      void this.pass(client);
    });
  }

  static async before(nodes: readonly ClusterNode[]): Promise<Balancer> {
    const balancer = new Balancer(createServer(), nodes);
    await new Promise<void>((resolve) => balancer.server.listen(0, '127.0.0.1', resolve));
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async pass(client: Socket): Promise<void> {
    for (const { port } of this.nodes) {
      const upstream = await this.reach(port);
      if (!upstream) continue;
      client.once('close', () => upstream.destroy());
      upstream.once('close', () => client.destroySoon());
      client.pipe(upstream).pipe(client);
      return;
    }
    client.destroy();
  }

  private reach(port: number): Promise<Socket | null> {
    return new Promise((resolve) => {
      const upstream = connect(port, '127.0.0.1', () => resolve(upstream));
      this.track(upstream);
      upstream.once('error', () => resolve(null));
    });
  }

  private track(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => this.sockets.delete(socket));
  }
}

export interface HistoryAnswer {
  items: any[];
  epoch: string;
  first_sequence: number;
  last_sequence: number;
}
