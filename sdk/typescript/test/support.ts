import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Program, temporaryDataDir } from '../../../test/support/program.js';
import { parseMail } from '../../../test/support/smtp-server.js';
import { until } from '../../../test/support/uploads.js';
import { Gatehouse, type GatehouseOptions } from '../src/index.js';

export const PASSWORD = 'Correct-Horse-1';
export const ADMIN = { email: 'admin@example.com', password: 'Correct-Horse-Admin-1' };

/** A started server, as users have it, with a database and a folder of its own. */
export class TestServer {
  private constructor(
    private readonly environment: Record<string, string>,
    private readonly data: ReturnType<typeof temporaryDataDir>,
    public program: Program,
    readonly url: string,
  ) {}

  static async start(environment: Record<string, string> = {}): Promise<TestServer> {
    const data = temporaryDataDir();
    const all = {
      ...{ PORT: '0', HOST: '127.0.0.1', DATA_DIR: data.path, BCRYPT_COST: '10', RATE_LIMIT_ENABLED: 'false' },
      ...{ ADMIN_EMAIL: ADMIN.email, ADMIN_PASSWORD: ADMIN.password },
      ...environment,
    };
    const program = new Program(all);
    const [, url] = await program.says(/listening on (http:\S+)/);
    return new TestServer({ ...all, PORT: new URL(url).port }, data, program, url.replace('localhost', '127.0.0.1'));
  }

  get dataDir(): string {
    return this.data.path;
  }

  client(options: Partial<GatehouseOptions> = {}): Gatehouse {
    return new Gatehouse({ baseURL: this.url, ...options });
  }

  /** A client that the first admin has signed in with. */
  async admin(options: Partial<GatehouseOptions> = {}): Promise<Gatehouse> {
    const api = this.client(options);
    await api.auth.login(ADMIN);
    return api;
  }

  /** A new account, and a client that it has signed in with. */
  async user(options: Partial<GatehouseOptions> = {}): Promise<TestUser> {
    const name = `u${randomBytes(6).toString('hex')}`;
    const account = { email: `${name}@example.com`, username: name, password: PASSWORD };
    const api = this.client(options);
    const { id } = await api.auth.register(account);
    await api.auth.login({ email: account.email, password: PASSWORD });
    return { ...account, id, api };
  }

  /** The token in the link of the mail to somebody about something. */
  async mailedToken(to: string, subject: RegExp): Promise<string> {
    const outbox = join(this.data.path, 'outbox');
    let text = '';
    const find = async () => {
      const names = existsSync(outbox) ? readdirSync(outbox).filter((name) => name.endsWith('.eml')) : [];
      for (const name of names) {
        const mail = await parseMail(readFileSync(join(outbox, name), 'utf8'));
        if (mail.to?.[0]?.address === to && subject.test(mail.subject ?? '')) text = mail.text ?? '';
      }
      return text !== '';
    };
    await until(find, `a mail to ${to} about ${subject}`);
    return /[?&]token=(\S+)/.exec(text)?.[1] ?? '';
  }

  /** As when the machine loses power. */
  async kill(): Promise<void> {
    await this.program.kill();
  }

  /** Starts it again on the same port and data. */
  async restart(environment: Record<string, string> = {}): Promise<void> {
    this.program = new Program({ ...this.environment, ...environment });
    await this.program.says(/listening on/);
  }

  async stop(): Promise<void> {
    this.program.signal('SIGTERM');
    await this.program.exit();
    this.data.remove();
  }
}

export interface TestUser {
  id: string;
  email: string;
  username: string;
  password: string;
  api: Gatehouse;
}

export type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;
export type Watch = (...call: Parameters<Handler>) => boolean | Promise<boolean>;

/** What has been asked of a local server. */
export interface Asked {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** Of the answer; 0 until there is one. */
  status: number;
}

/** A little HTTP server that answers as it is told. */
export class LocalServer {
  readonly asked: Asked[] = [];
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(handler: Handler): Promise<LocalServer> {
    const server = createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        const { method = '', url: path = '', headers } = incoming;
        const asked = { method, path, headers, body, status: 0 };
        local.asked.push(asked);
        response.on('finish', () => (asked.status = response.statusCode));
        handler(incoming, response, body);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const local = new LocalServer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return local;
  }

  /** Answers the first requests one by one, and all further ones as the last. */
  static answering(...answers: Handler[]): Promise<LocalServer> {
    let next = 0;
    return LocalServer.start((...call) => answers[Math.min(next++, answers.length - 1)](...call));
  }

  /** Passes everything on to another server; `watch` may answer in its place, by returning true, or hold it up. */
  static proxy(target: string, watch: Watch = () => false): Promise<LocalServer> {
    const pass: Handler = (incoming, response, body) => {
      const { method, headers, url } = incoming;
      const onward = request(`${target}${url}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      onward.end(body);
    };
    return LocalServer.start((...call) => {
      void Promise.resolve(watch(...call)).then((isAnswered) => isAnswered || pass(...call));
    });
  }

  /** How often a path was asked for. */
  count(path: string): number {
    return this.asked.filter((asked) => asked.path === path).length;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** An answer in JSON. */
export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Handler =>
  (_request, response) =>
    void response
      .writeHead(status, { 'Content-Type': 'application/json', ...headers })
      .end(body === undefined ? '' : JSON.stringify(body));

/** Breaks the connection without an answer. */
export const reset: Handler = (incoming) => void incoming.socket.destroy();

/** The body of one of the server's errors. */
export const fault = (code: number, error_code: string) => ({ detail: 'Not now', status: 'error', code, error_code });

/** What a promise is rejected with. */
export async function failureOf(promise: Promise<unknown>): Promise<any> {
  return promise.then(
    (value) => {
      throw new Error(`resolved with ${JSON.stringify(value)?.slice(0, 500)}`);
    },
    (error: unknown) => error,
  );
}

export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const gathered: Item[] = [];
  for await (const item of items) gathered.push(item);
  return gathered;
}
