import { spawn } from 'node:child_process';
import http from 'node:http';
import { ClusterNode, type ClusterUser, Database, type HistoryAnswer } from './broadcast-cluster.js';
import { hasNginx, NginxServer } from './nginx-server.js';
import { hasRedisServer, RedisServer } from './redis-server.js';
import { createBucket, hasS3Server, type S3Server, startS3Server } from './s3-server.js';
import { type Answer, freePort, MIB } from './uploads.js';

const NODES = ['A', 'B', 'C'];
const BUCKET = 'gatehouse';
const ADMIN = { email: 'admin@example.com', password: 'SecurePass123!' };
const MANY = '1000000/60';

/** What has to be installed before a topology can be started; empty when all is there. */
export const missingPackages = (): string[] => [
  ...(hasNginx() ? [] : ['nginx-light']),
  ...(hasRedisServer() ? [] : ['redis-server']),
  ...(hasS3Server() ? [] : ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common']),
];

interface Call {
  method?: string;
  token?: string | null;
  /** Sent as JSON. */
  body?: object;
  headers?: http.OutgoingHttpHeaders;
  /** From which address of this machine, for one thing. */
  agent?: http.Agent;
  /** Another way in than nginx. */
  url?: string;
}

/** A request of the API with its answer, whatever that is; a connection that ends without one fails. */
export function callApi(
  url: string,
  { method = 'GET', token, body, headers, agent }: Call = {},
  bytes?: Buffer,
): Promise<Answer> {
  const text = bytes ?? (body && JSON.stringify(body));
  const all = {
    ...(token && { Authorization: `Bearer ${token}` }),
    ...(text && { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers: all, agent: agent ?? false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('error', reject).on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const received = Buffer.concat(chunks);
        const isJson = /json/.test(response.headers['content-type'] ?? '') && received.length > 0;
        const content: unknown = isJson ? JSON.parse(received.toString()) : received;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: content });
      });
    });
    request.on('error', reject).end(text);
  });
}

/** Connections from another address of this machine; a client that nginx knows from others. */
export const from = (address: string, options: http.AgentOptions = {}): http.Agent =>
  new http.Agent({ localAddress: address, ...options });

/** A shell that holds a pipe from this process and kills what it was told last, should this process end before its time. */
class Guard {
  private readonly shell = spawn(
    'sh',
    ['-c', 'while read -r line; do pids=$line; done; [ -z "$pids" ] || kill -9 $pids'],
    { stdio: ['pipe', 'ignore', 'ignore'] },
  );

  tell(nodes: readonly ClusterNode[]): void {
    const pids = nodes.map(({ pid }) => pid).filter((pid) => pid > 0);
    this.shell.stdin.write(`${pids.join(' ')}\n`);
  }

  end(): void {
    this.shell.stdin.end('\n');
  }
}

/** A node that tells whenever it is another process, or none. */
class GuardedNode extends ClusterNode {
  onChange: () => void = () => undefined;

  override start(): Promise<void> {
    return this.changed(super.start());
  }

  override kill(): Promise<void> {
    return this.changed(super.kill());
  }

  override stop(): ReturnType<ClusterNode['stop']> {
    return this.changed(super.stop());
  }

  private changed<T>(what: Promise<T>): Promise<T> {
    this.onChange();
    return what;
  }
}

/** What docker-compose.yml starts with the profile `scale`, as processes: nginx before three nodes, PostgreSQL, Redis and an S3 store. */
export class Topology {
  readonly nodes: ClusterNode[] = [];
  nginx!: NginxServer;
  admin!: ClusterUser;
  private readonly guard = new Guard();
  private readonly database = new Database();
  private redis: RedisServer | null = null;
  private s3: S3Server | null = null;

  static async start(settings: Record<string, string> = {}): Promise<Topology> {
    const topology = new Topology();
    try {
      await topology.begin(settings);
      return topology;
    } catch (error) {
      await topology.end();
      throw error;
    }
  }

  get url(): string {
    return this.nginx.url;
  }

  /** By nginx, if nothing else is said. @param status what the answer must have; gives its body */
  async call(path: string, { url = this.url, ...call }: Call = {}, status = 200): Promise<any> {
    const answer = await callApi(`${url}/api/v1${path}`, call);
    if (answer.status !== status)
      throw new Error(`${call.method ?? 'GET'} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async aUser(username: string): Promise<ClusterUser> {
    const user = { username, email: `${username}@example.com`, password: ADMIN.password };
    await this.call('/auth/register', { method: 'POST', body: user }, 201);
    return this.signIn(user);
  }

  async signIn({ email, password }: { email: string; password: string }, call: Call = {}): Promise<ClusterUser> {
    const { access_token, user } = await this.call('/auth/login', {
      ...call,
      method: 'POST',
      body: { email, password },
    });
    return { id: user.id, token: access_token };
  }

  /** What a channel keeps. */
  async history(channel: string): Promise<HistoryAnswer> {
    const items: any[] = [];
    for (;;) {
      const path = `/broadcasting/messages?channel=${channel}&after=${items.at(-1)?.sequence ?? 0}&limit=500`;
      const page = await this.call(path, { token: this.admin.token });
      items.push(...page.items);
      if (page.items.length < 500) return { ...page, items };
    }
  }

  async end(): Promise<void> {
    await this.nginx?.remove();
    await Promise.all(this.nodes.map((node) => node.end()));
    await Promise.all([this.database.end(), this.redis?.remove(), this.s3?.stop()]);
    this.guard.end();
  }

  private async begin(settings: Record<string, string>): Promise<void> {
    this.redis = await RedisServer.create();
    // Its monitor may not yet take commands when the first one comes.
    const started = startS3Server().catch(() => startS3Server());
    const s3 = started.then((server) => (this.s3 = server));
    await Promise.all([s3, this.database.start(), this.redis.start()]);
    if (!this.s3) throw new Error(`Packages are missing: ${missingPackages().join(' ')}`);
    await createBucket(this.s3, BUCKET);
    const all = { ...this.services(this.s3), ...settings };
    for (const name of NODES) {
      const node = new GuardedNode(`node ${name}`, await freePort(), () => all);
      node.onChange = () => this.guard.tell(this.nodes);
      this.nodes.push(node);
    }
    const [first, ...others] = this.nodes;
    // It makes the tables; the others would wait for it.
    await first.start();
    await Promise.all(others.map((node) => node.start()));
    this.nginx = new NginxServer(await freePort(), this.nodes);
    await this.nginx.start();
    this.admin = await this.signIn(ADMIN);
  }

  private services({ endpoint, accessKeyId, secretAccessKey }: S3Server): Record<string, string> {
    return {
      DATABASE_URL: this.database.url,
      REDIS_URL: this.redis?.url ?? '',
      STORAGE_DRIVER: 's3',
      S3_ENDPOINT: endpoint,
      S3_BUCKET: BUCKET,
      S3_ACCESS_KEY_ID: accessKeyId,
      S3_SECRET_ACCESS_KEY: secretAccessKey,
      S3_FORCE_PATH_STYLE: 'true',
      TRUST_PROXY: '1',
      ADMIN_EMAIL: ADMIN.email,
      ADMIN_PASSWORD: ADMIN.password,
      MAX_FILE_SIZE: String(48 * MIB),
      // Counted, in Redis, and out of the way but for those who ask without a token.
      RATE_LIMIT_ENABLED: 'true',
      RATE_LIMIT_CREDENTIALS: MANY,
      RATE_LIMIT_USER: MANY,
      RATE_LIMIT_USER_HOURLY: '100000000/3600',
      RATE_LIMIT_ADMIN: MANY,
      RATE_LIMIT_UPLOADS: MANY,
      SOCKET_CONNECTIONS: '1000',
    };
  }
}
