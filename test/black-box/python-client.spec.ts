import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { NAMESPACE } from '../support/broadcast-clients.js';
import { Program, temporaryDataDir } from '../support/program.js';

const PYTHON = process.env.PYTHON_PATH ?? '/usr/bin/python3';
const PACKAGES = ['socketio', 'websocket', 'requests'];
const hasPackages = spawnSync(PYTHON, ['-c', `import ${PACKAGES.join(', ')}`]).status === 0;

if (!hasPackages)
  process.stderr.write(
    `The Python client is not tested: ${PYTHON} (PYTHON_PATH) lacks one of ${PACKAGES.join(', ')}\n`,
  );

const admin = { email: 'admin@example.com', password: 'SecurePass123!' };

/** As its documentation has it. Tells what happens in lines of JSON, publishes when its input says what, and leaves at the end of that. */
const CLIENT = `
import json, sys, threading
import socketio

url, namespace, token, channel, transports = sys.argv[1:]
lock = threading.Lock()

def tell(event, *args):
    with lock:
        print(json.dumps([event, *args]), flush=True)

client = socketio.Client()

@client.on('connected', namespace=namespace)
def on_connected(data):
    tell('connected', data)

@client.on('message', namespace=namespace)
def on_message(message):
    tell('message', message)

@client.on('connect_error', namespace=namespace)
def on_connect_error(data):
    tell('connect_error', data)

try:
    client.connect(url, namespaces=[namespace], auth={'token': token}, transports=transports.split(','), wait_timeout=8)
except socketio.exceptions.ConnectionError:
    tell('refused')
    sys.exit()

client.emit('subscribe', {'channel': channel, 'after': 0}, namespace=namespace, callback=lambda answer: tell('subscribed', answer))
for line in sys.stdin:
    tell('published', client.call('publish', json.loads(line), namespace=namespace))
tell('transport', client.transport())
client.disconnect()
`;

/** A process of its own, with what it tells. */
class PythonClient {
  private readonly child: ChildProcess;
  private readonly told: [event: string, payload: any][] = [];
  private readonly ended: Promise<unknown>;
  private isOver = false;
  private errors = '';
  private wake: () => void = () => undefined;

  constructor(...args: string[]) {
    this.child = spawn(PYTHON, ['-c', CLIENT, ...args]);
    this.child.stderr?.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
    if (this.child.stdout)
      createInterface(this.child.stdout).on('line', (line) => {
        this.told.push(JSON.parse(line));
        this.wake();
      });
    this.ended = once(this.child, 'close').then(() => {
      this.isOver = true;
      this.wake();
    });
  }

  /** The next of its kind. */
  async next(event: string): Promise<any> {
    for (;;) {
      const at = this.told.findIndex(([name]) => name === event);
      if (at >= 0) return this.told.splice(at, 1)[0][1];
      if (this.isOver) throw new Error(`ended without ${event}: ${JSON.stringify(this.told)}\n${this.errors}`);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** Its library handles each message in a thread of its own, so that they may be told in another order than they came in. */
  async messages(count: number): Promise<any[]> {
    const messages: any[] = [];
    while (messages.length < count) messages.push(await this.next('message'));
    return messages.sort((a, b) => a.sequence - b.sequence);
  }

  publish(message: object): void {
    this.child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  /** Of its own accord. */
  async leave(): Promise<void> {
    this.child.stdin?.end();
    await this.ended;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

(hasPackages ? describe : describe.skip)('the Python client of Debian', () => {
  const data = temporaryDataDir();
  const clients: PythonClient[] = [];
  let program: Program;
  let http: Awaited<ReturnType<Program['http']>>;
  let url: string;
  let token: string;
  let id: string;

  const client = (channel: string, transports: string, credentials = token) => {
    const started = new PythonClient(url, NAMESPACE, credentials, channel, transports);
    clients.push(started);
    return started;
  };
  const publish = async (channel: string, event: string, content: object) => {
    const { body } = await http
      .post('/api/v1/broadcasting/messages')
      .set('Authorization', `Bearer ${token}`)
      .send({ channel, event, data: content })
      .expect(201);
    return body;
  };

  beforeAll(async () => {
    program = new Program({
      PORT: '0',
      HOST: '127.0.0.1',
      DATA_DIR: data.path,
      ADMIN_EMAIL: admin.email,
      ADMIN_PASSWORD: admin.password,
      BCRYPT_COST: '10',
    });
    http = await program.http();
    url = (await program.says(/listening on (http:\S+)/))[1].replace('localhost', '127.0.0.1');
    const { body } = await http.post('/api/v1/auth/login').send(admin).expect(200);
    [token, id] = [body.access_token, body.user.id];
  });

  afterEach(() => Promise.all(clients.splice(0).map((started) => started.kill())));

  afterAll(async () => {
    await program?.kill();
    data.remove();
  });

  it.each([
    ['polling,websocket', 'websocket'],
    ['websocket', 'websocket'],
    ['polling', 'polling'],
  ])('connects by %s, is brought what it has missed and what is new, and publishes', async (transports, used) => {
    const channel = `python-${transports.replace(',', '-')}`;
    const published = [
      await publish(channel, 'first', { n: 1 }),
      await publish(channel, 'second', { text: 'żółć 🎉' }),
    ];
    const python = client(channel, transports);
    expect(await python.next('connected')).toMatchObject({ user: { id } });
    expect(await python.next('subscribed')).toEqual({
      ok: true,
      channel,
      epoch: published[0].epoch,
      sequence: 2,
      recovered: true,
    });
    expect(await python.messages(2)).toEqual(published);
    const live = await publish(channel, 'live', {});
    expect(await python.messages(1)).toEqual([live]);
    python.publish({ channel, event: 'from.python', data: { ключ: [1, 2.5, null] } });
    const { ok, ...message } = await python.next('published');
    expect([ok, message]).toEqual([true, expect.objectContaining({ sequence: 4, sender_id: id })]);
    expect(message.data).toEqual({ ключ: [1, 2.5, null] });
    expect(await python.messages(1)).toEqual([message]);
    python.publish({ channel: 'not a name', event: 'from.python' });
    expect(await python.next('published')).toMatchObject({ ok: false, error: { code: 422 } });
    await python.leave();
    expect(await python.next('transport')).toBe(used);
  });

  it('is refused with a token that is none, and told why', async () => {
    const python = client('news', 'websocket', 'nonsense');
    expect(await python.next('connect_error')).toMatchObject({
      message: expect.any(String),
      data: { code: 401, error_code: 'invalid_token', status: 'error' },
    });
    await python.next('refused');
  });
});
