import { once } from 'node:events';
import { type Socket, connect } from 'node:net';
import { Program, temporaryDataDir } from '../support/program.js';
import { until } from '../support/uploads.js';

/** A little less than what a program that stops keeps idle connections for. */
const KEPT_MS = 1_900;

/** A connection that is kept, as a proxy keeps it, and says what comes by it. */
class Kept {
  received = '';
  isClosed = false;
  private constructor(private readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => (this.received += chunk.toString()));
    socket.on('error', () => undefined).on('close', () => (this.isClosed = true));
  }

  static async to(port: number): Promise<Kept> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Kept(socket);
  }

  /** The head of the answer, in small letters. */
  ask(method: string, path: string, body = ''): Promise<string> {
    this.begin(method, path, body.length);
    return this.finish(body);
  }

  /** A request whose body is still to come. */
  begin(method: string, path: string, length: number): void {
    this.received = '';
    const lines = length > 0 ? `Content-Type: application/json\r\nContent-Length: ${length}\r\n` : '';
    this.socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n`);
  }

  async finish(body: string): Promise<string> {
    this.socket.write(body);
    await until(() => this.received.includes('\r\n\r\n') || this.isClosed, 'an answer');
    return this.received.split('\r\n\r\n')[0].toLowerCase();
  }
}

describe('a program that is told to stop', () => {
  const data = temporaryDataDir();
  let program: Program;
  let port: number;

  const newcomersRefused = () =>
    until(async () => {
      const socket = connect(port, '127.0.0.1');
      const code = await new Promise((resolve) => {
        socket.once('connect', () => resolve(null));
        socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      });
      socket.destroy();
      return code === 'ECONNREFUSED';
    }, 'the end of new connections');

  async function start(): Promise<void> {
    program = new Program({ PORT: '0', HOST: '127.0.0.1', DATA_DIR: data.path, BCRYPT_COST: '10' });
    const [, url] = await program.says(/listening on (http:\S+)/);
    port = Number(new URL(url).port);
  }

  /** What three connections get that are idle when the program is told to stop: two of them ask once more. */
  async function stopWithIdle() {
    const [first, second, idle] = await Promise.all([1, 2, 3].map(() => Kept.to(port)));
    for (const connection of [first, second, idle]) {
      const head = await connection.ask('GET', '/health');
      expect(head).toContain('200 ok');
      expect(head).not.toContain('connection: close');
    }
    const began = performance.now();
    program.signal('SIGTERM');
    await program.says(/Received SIGTERM/);
    await newcomersRefused();
    const wasKept = !idle.isClosed;
    const health = await first.ask('GET', '/api/v1/health');
    const login = JSON.stringify({ email: 'nobody@example.com', password: 'SecurePass123!' });
    const refusal = await second.ask('POST', '/api/v1/auth/login', login);
    const tookMs = performance.now() - began;
    await until(() => first.isClosed && second.isClosed, 'the connections that had their answer');
    expect(await program.exit()).toEqual({ code: 0, signal: null });
    expect(idle.isClosed).toBe(true);
    return { wasKept, health, refusal, tookMs };
  }

  beforeEach(start);
  afterEach(() => program.kill());
  afterAll(() => data.remove());

  it('takes no new connection, answers what comes on those that there are, as the last, and then ends', async () => {
    let seen = await stopWithIdle();
    // A machine that is held up for as long as idle connections are kept shows nothing.
    for (; seen.tookMs > KEPT_MS; seen = await stopWithIdle()) await start();
    expect(seen.wasKept).toBe(true);
    expect(seen.health).toMatch(/200 ok[^]*connection: close/);
    expect(seen.refusal).toMatch(/401 [^]*connection: close/);
  });

  it('says so in the answer to a request that was under way', async () => {
    const body = JSON.stringify({ email: 'slow@example.com', username: 'slow', password: 'SecurePass123!' });
    const connection = await Kept.to(port);
    connection.begin('POST', '/api/v1/auth/register', body.length);
    program.signal('SIGTERM');
    await program.says(/Received SIGTERM/);
    await newcomersRefused();
    expect(await connection.finish(body)).toMatch(/201 created[^]*connection: close/);
    expect(await program.exit()).toEqual({ code: 0, signal: null });
  });
});
