import { DefaultHttpStack, Upload } from 'tus-js-client';
import { SocketReader, StreamReader } from '../support/broadcast-clients.js';
import { type ClusterUser, type HistoryAnswer } from '../support/broadcast-cluster.js';
import {
  type Endpoint,
  Ledger,
  RestPublisher,
  type Sent,
  SocketPublisher,
  storedNumbers,
} from '../support/broadcast-publishers.js';
import { Load } from '../support/load.js';
import { callApi, from, missingPackages, Topology } from '../support/topology.js';
import { call, Dice, MIB, seedOfRun, sendFile, sha256, until } from '../support/uploads.js';

const SEED = seedOfRun();
const CLIENTS = 6;
/** Of the load, between the steps of a restart. */
const ANSWERS = 60;
const WITHIN_MS = 60_000;
const KINDS = [['websocket'], ['polling'], undefined];
const PIECE = 2 * MIB;

type Reader = SocketReader | StreamReader;

/** Where nobody is there nginx says so with a 502 of its own: not known whether the message is there, so it is sent again. */
class PatientPublisher extends RestPublisher {
  protected override async attempt(node: Endpoint, sent: Sent) {
    const outcome = await super.attempt(node, sent);
    return outcome?.status === 502 ? null : outcome;
  }
}

/** How long a client was without a connection, at most. */
class Gaps {
  longestMs = 0;
  private readonly since = new Map<SocketReader, number>();

  constructor(readers: readonly SocketReader[]) {
    for (const reader of readers) {
      reader.socket.on('disconnect', () => this.since.set(reader, performance.now()));
      reader.socket.on('connect', () => {
        const since = this.since.get(reader);
        if (since !== undefined) this.longestMs = Math.max(this.longestMs, performance.now() - since);
        this.since.delete(reader);
      });
    }
  }
}

const missing = missingPackages();
if (missing.length > 0) process.emitWarning(`The scale tests are left out: install ${missing.join(' ')}`);

(missing.length > 0 ? describe.skip : describe)(`three nodes behind nginx that come and go, seed ${SEED}`, () => {
  const dice = new Dice(SEED);
  let topology: Topology;
  let reader: ClusterUser;
  let readers: Reader[] = [];
  const agents = Array.from({ length: 9 }, (_, at) => from(`127.0.0.${at + 10}`));

  /** Sockets of each kind from addresses of their own, so that each node has some, and a stream. */
  function openReaders(channel: string): SocketReader[] {
    const sockets = agents.map((agent, at) => {
      const transports = KINDS[at % KINDS.length];
      const title = `${transports?.join() ?? 'as the library comes'} ${at}`;
      return new SocketReader(title, topology.url, { token: reader.token, channels: [channel], transports, agent });
    });
    readers = [...sockets, new StreamReader('stream', [topology.url], reader.token, channel)];
    return sockets;
  }
  const isConnected = (some: Reader) => (some instanceof StreamReader ? some.connections > 0 : some.socket.connected);
  const publish = (channel: string, data: object) =>
    topology.call(
      '/broadcasting/messages',
      { method: 'POST', token: topology.admin.token, body: { channel, event: 'test', data } },
      201,
    );

  async function expectAll(channel: string): Promise<HistoryAnswer> {
    const log = await topology.history(channel);
    const hasAll = ({ handled }: Reader) => handled.count(channel) >= log.items.length;
    await until(() => readers.every(hasAll), 'everything at all readers', WITHIN_MS);
    for (const { handled } of readers) {
      expect(handled.faults).toEqual([]);
      expect(handled.distinct(channel).map(({ id }) => id)).toEqual(log.items.map(({ id }) => id));
    }
    expect(log.items.map(({ sequence }) => sequence)).toEqual(log.items.map((_, at) => at + 1));
    return log;
  }

  beforeAll(async () => {
    topology = await Topology.start();
    reader = await topology.aUser('reader');
  });

  afterEach(() => {
    for (const some of readers.splice(0)) some.close();
    expect(topology?.nodes.flatMap(({ faults }) => faults)).toEqual([]);
  });

  afterAll(async () => {
    for (const agent of agents) agent.destroy();
    await topology?.end();
  });

  it('a rolling restart under load: no failed request, no lost message', async () => {
    const channel = 'rolling';
    const body = { publish_policy: 'members' };
    await topology.call(`/broadcasting/channels/${channel}`, { method: 'PUT', token: topology.admin.token, body });
    const users = await Promise.all(Array.from({ length: CLIENTS }, (_, at) => topology.aUser(`load_${at}`)));
    const clients = users.map(({ token }, at) => ({ token, agent: from(`127.0.0.${at + 30}`, { keepAlive: true }) }));
    const sockets = openReaders(channel);
    const load = new Load(topology.url, clients, channel);
    load.start();
    await until(() => readers.every(({ handled }) => handled.count(channel) > 0), 'the first message', WITHIN_MS);
    const gaps = new Gaps(sockets);
    const began = performance.now();
    for (const node of topology.nodes) {
      expect(await node.stop()).toEqual({ code: 0, signal: null });
      await load.answers(ANSWERS);
      await node.start();
      await load.answers(ANSWERS);
    }
    const seconds = (performance.now() - began) / 1000;
    await load.stop();
    const log = await expectAll(channel);
    process.stdout.write(
      `rolling restart of 3 nodes in ${seconds.toFixed(1)} s: ${load.requests} requests, ${load.failures.length} failed, ` +
        `the slowest ${load.slowestMs.toFixed(0)} ms; ${log.items.length} messages, 0 lost; ` +
        `a socket away for ${gaps.longestMs.toFixed(0)} ms at most\n`,
    );
    expect(load.failures).toEqual([]);
    expect(log.items).toHaveLength(load.published.flat().length);
    // Each node has had some of it.
    const asked = new Set(topology.nginx.passed().flatMap(({ nodes }) => nodes));
    expect(asked.size).toBe(topology.nodes.length);
    for (const published of load.published)
      expect(published.map(({ sequence }) => sequence)).toEqual(
        published.map(({ sequence }) => sequence as number).sort((one, other) => one - other),
      );
  });

  it('a node killed in the middle of publishes and uploads: nothing acknowledged is lost, everybody is back', async () => {
    const channel = 'killing';
    const sockets = openReaders(channel);
    const ledger = new Ledger(dice);
    const gateways = [topology];
    const publishers = [1, 2, 3].map(
      (at) => new PatientPublisher(`REST ${at}`, topology.admin, gateways, [channel], ledger, dice),
    );
    const socketPublisher = new SocketPublisher('socket', topology.admin, gateways, [channel], ledger, dice);
    const all = [...publishers, socketPublisher];
    for (const publisher of all) publisher.start();
    await until(() => readers.every(({ handled }) => handled.count(channel) > 0), 'the first message', WITHIN_MS);

    const auth = { Authorization: `Bearer ${reader.token}` };
    const files: { content: Buffer; answer: any }[] = [];
    let uploadsFailed = 0;
    let isOver = false;
    const uploading = Promise.all(
      [1, 2, 3].map(async (at) => {
        for (let round = 1; !isOver; round++) {
          const content = dice.text(dice.int(1, MIB / 4));
          const sent = await sendFile(`${topology.url}/api/v1/uploads`, auth, { name: `${at}-${round}.txt`, content });
          if (sent?.status === 201) files.push({ content, answer: sent.body });
          else uploadsFailed++;
        }
      }),
    );
    const large = dice.text(12 * MIB);
    const uploaded = new Promise<string>((resolve, reject) => {
      const upload = new Upload(large, {
        endpoint: `${topology.url}/api/v1/uploads/resumable`,
        headers: auth,
        metadata: { filename: 'large.txt', filetype: 'text/plain' },
        chunkSize: PIECE,
        retryDelays: Array<number>(100).fill(100),
        httpStack: new DefaultHttpStack({ agent: false }),
        onSuccess: () => resolve(upload.url ?? ''),
        onError: reject,
      });
      upload.start();
    });
    const [, victim] = topology.nodes;
    await until(() => files.length > 2, 'the first files', WITHIN_MS);
    const before = topology.nginx.passed().length;
    const began = performance.now();
    const connections = sockets.map(({ disconnects }) => disconnects);
    const gaps = new Gaps(sockets);
    await victim.kill();
    await publish(channel, { number: 0 }).catch(() => undefined);
    const isBack = () => readers.every(isConnected);
    await until(isBack, 'everybody to be back', WITHIN_MS);
    const log = await topology.history(channel);
    await until(
      () => readers.every(({ handled }) => handled.count(channel) >= log.items.length),
      'what was published around the kill',
      WITHIN_MS,
    );
    const seconds = (performance.now() - began) / 1000;
    const cut = sockets.filter(({ disconnects }, at) => disconnects > connections[at]).length;
    const location = await uploaded;
    await victim.start();
    isOver = true;
    await uploading;
    await Promise.all(all.map((publisher) => publisher.stop()));

    const logs = new Map([[channel, await expectAll(channel)]]);
    const unanswered = topology.nginx
      .passed()
      .slice(before)
      .filter(({ status }) => status >= 500);
    process.stdout.write(
      `kill -9 of one of 3 nodes: all back with everything after ${seconds.toFixed(1)} s, a socket away for ` +
        `${gaps.longestMs.toFixed(0)} ms at most, ${cut} of ${sockets.length} sockets cut; ${ledger.sent.length} published, ${ledger.lost(logs).length} ` +
        `acknowledged lost; ${files.length} files, ${uploadsFailed} uploads cut; ${unanswered.length} answers of 5xx by nginx\n`,
    );
    const own = new Set(storedNumbers(logs));
    expect([ledger.faults, ledger.lost(logs), ledger.missing(logs)]).toEqual([[], [], []]);
    expect(own.size).toBe(logs.get(channel)?.items.length);
    // What was under way there, and no more: everything else goes to the others at once.
    expect(unanswered.every(({ status }) => status === 502)).toBe(true);
    expect(unanswered.length).toBeLessThan(12);
    for (const { content, answer } of files) {
      const { body: bytes } = await call(`${topology.url}/api/v1/uploads/${answer.id}/download`, {
        method: 'GET',
        headers: auth,
      });
      expect([answer.file_hash, sha256(bytes)]).toEqual([sha256(content), sha256(content)]);
    }
    const whole = await callApi(
      `${topology.url}/api/v1/uploads/${location.slice(location.lastIndexOf('/') + 1)}/download`,
      {
        token: reader.token,
      },
    );
    expect(sha256(whole.body)).toBe(sha256(large));
  });
});
