import { createHash } from 'node:crypto';
import type { ClusterNode } from '../support/broadcast-cluster.js';
import { isHonest, Load, type Sample, send, statuses, times } from '../support/outage-load.js';
import {
  during,
  type Failure,
  HEALTHY_WITHIN_MS,
  healthyAfter,
  Installation,
  report,
  TEST_MS,
  WITHIN_MS,
} from '../support/outage.js';
import { createBucket, hasS3Server, type S3Server, startS3Server } from '../support/s3-server.js';
import { type Answer, Dice, idOf, MIB, seedOfRun, sendFile, sha256, TusCalls, until } from '../support/uploads.js';

const SEED = seedOfRun();
const BUCKET = 'outages';
const PAUSE_MS = 50;
const SMALL_BYTES = 20_000;
/** Of two parts and a bit. */
const LARGE_BYTES = 20 * MIB;
const RESUMED_BYTES = 2 * MIB;

type User = Awaited<ReturnType<Installation['aUser']>>;

if (!hasS3Server())
  process.stderr.write('outages of S3 are not tested: install radosgw, ceph-mon, ceph-osd and ceph-common\n');

(hasS3Server() ? describe : describe.skip)(`S3 that goes away, seed ${SEED}`, () => {
  const dice = new Dice(SEED);
  let server: S3Server;
  let installation: Installation;
  let [a, b]: ClusterNode[] = [];
  let user: User;
  let known: { id: string; content: string };
  /** The hash of what was acknowledged, by its id. */
  const acknowledged = new Map<string, string>();

  async function upload(node: ClusterNode): Promise<Sample> {
    const content = dice.text(SMALL_BYTES);
    const form = new FormData();
    form.append('file', new Blob([content], { type: 'text/plain' }), 'small.txt');
    const sample = await send(node, 'upload', { path: '/uploads', token: user.token, method: 'POST', body: form });
    if (sample.status === 201) acknowledged.set(sample.body.id, sha256(content));
    return sample;
  }
  const download = (node: ClusterNode, id = known.id) =>
    send(node, 'download', { path: `/uploads/${id}/download`, token: user.token });
  const health = (node: ClusterNode) => send(node, 'health', { path: '/health' });

  beforeAll(async () => {
    server = (await startS3Server()) as S3Server;
    await createBucket(server, BUCKET);
    installation = await Installation.start({
      STORAGE_DRIVER: 's3',
      S3_ENDPOINT: server.endpoint,
      S3_BUCKET: BUCKET,
      S3_ACCESS_KEY_ID: server.accessKeyId,
      S3_SECRET_ACCESS_KEY: server.secretAccessKey,
      S3_FORCE_PATH_STYLE: 'true',
      MAX_FILE_SIZE: String(2 * LARGE_BYTES),
    });
    [a, b] = installation.nodes;
    user = await installation.aUser('sender');
    const { body } = await upload(a);
    known = { id: body.id, content: (await download(b, body.id)).body };
    expect(sha256(Buffer.from(known.content))).toBe(acknowledged.get(known.id));
  });

  afterAll(async () => {
    await installation?.end();
    await server?.stop();
  });

  const failures: (Failure & { refused: string[] })[] = [
    {
      title: 'is killed',
      begin: () => server.signal('SIGKILL'),
      end: () => server.restart(),
      refused: ['upload', 'download'],
    },
    {
      title: 'hangs',
      begin: () => server.signal('SIGSTOP'),
      end: () => server.signal('SIGCONT'),
      // A short hang is waited for.
      refused: [],
    },
  ];

  it.each(failures)(
    'that $title is told to those who need it, and nothing is half there',
    async (failure) => {
      const { cluster } = installation;
      const auth = { Authorization: `Bearer ${user.token}` };
      const load = Load.of(cluster, user, user.email);
      load.repeat(PAUSE_MS, upload);
      load.repeat(PAUSE_MS, (node) => download(node));
      const tus = new TusCalls(a.url, auth);
      const resumed = dice.text(RESUMED_BYTES);
      const location = (await tus.create(RESUMED_BYTES, { filename: 'resumed.txt' })).headers.location ?? '';
      const large = { name: 'large.txt', content: dice.text(LARGE_BYTES) };
      await until(
        () => load.samples.some(({ what, status }) => what === 'upload' && status === 201),
        'an upload',
        WITHIN_MS,
      );
      // Some of it is there when the gateway goes, and the rest comes while it is away.
      const sending = sendFile(`${b.url}/api/v1/uploads`, auth, large, { pieceBytes: MIB, pauseMs: 100 });
      let patched: Promise<Answer> | null = null;
      const conditions: Promise<Sample>[] = [];

      const { from, to } = await during({
        ...failure,
        begin: async () => {
          await failure.begin();
          patched = tus.patch(location, 0, resumed);
          conditions.push(...[a, b].map(untilUnhealthy));
        },
        end: async () => {
          await Promise.all(conditions);
          await failure.end();
        },
      });
      const well = await healthyAfter(to, 'files are stored and read', async () => {
        const answers = await Promise.all([a, b].flatMap((node) => [upload(node), download(node), health(node)]));
        return answers.every(({ status }) => status === 200 || status === 201);
      });
      await load.stop();
      const inTheMiddle = await sending;
      if (inTheMiddle?.status === 201) acknowledged.set(inTheMiddle.body.id, sha256(large.content));
      const patch = (await (patched as unknown as Promise<Answer>)).status;
      if (patch !== 204) {
        const offset = await tus.offset(location);
        expect((await tus.patch(location, offset, resumed.subarray(offset))).status).toBe(204);
      }
      acknowledged.set(idOf(location), sha256(resumed));

      const away = load.between(from, to);
      const isOfFiles = ({ what }: Sample) => what === 'upload' || what === 'download';
      report(`s3 ${failure.title}`, {
        answers: JSON.stringify(statuses(away)),
        'ms of files during': times(away.filter(isOfFiles)),
        'ms of others during': times(away.filter(({ what }) => what === 'read')),
        'in the middle': `${inTheMiddle?.status}/${patch}`,
        acknowledged: acknowledged.size,
        'well after ms': well,
      });
      expect(well).toBeLessThanOrEqual(HEALTHY_WITHIN_MS);
      for (const { status, body } of await Promise.all(conditions))
        expect([status, body]).toMatchObject([503, { database: 'healthy', storage: 'unhealthy' }]);
      // A download that had begun is cut: its length was told.
      const isCut = ({ what, at, status }: Sample) => what === 'download' && at < from && status === 0;
      expect(statuses(load.samples.filter((sample) => !isHonest(sample) && !isCut(sample)))).toEqual({});
      expect(statuses(load.samples.filter((sample) => !isOfFiles(sample) && sample.status !== 200))).toEqual({});
      for (const what of failure.refused)
        expect(away.filter((sample) => sample.what === what && sample.status === 503)).not.toEqual([]);
      // Who goes on sending for seconds after the refusal is cut, and may not have read it by then.
      expect([201, 503, undefined]).toContain(inTheMiddle?.status);
      expect([204, 503]).toContain(patch);
      await expectAcknowledged();
      expect(cluster.nodes.flatMap(({ faults }) => faults)).toEqual([]);
    },
    TEST_MS,
  );

  /** By the health of a node: one look is good for two seconds, and the next takes two until it gives up. */
  async function untilUnhealthy(node: ClusterNode): Promise<Sample> {
    const deadline = performance.now() + WITHIN_MS;
    for (;;) {
      const sample = await health(node);
      // A database that was held up for two seconds is not meant.
      const isMeant = sample.status !== 200 && sample.body?.database !== 'unhealthy';
      if (isMeant || performance.now() > deadline) return sample;
    }
  }

  /** Everything is there as it was acknowledged, and nothing else. */
  async function expectAcknowledged(): Promise<void> {
    const listed: { id: string; file_hash: string }[] = [];
    for (;;) {
      const path = `/uploads?limit=100&skip=${listed.length}`;
      const { body } = await send(b, 'list', { path, token: user.token });
      listed.push(...body.items);
      if (listed.length >= body.total) break;
    }
    const byId = (entries: Iterable<[string, string]>) => new Map([...entries].sort());
    expect(byId(listed.map(({ id, file_hash }) => [id, file_hash]))).toEqual(byId(acknowledged));
    for (const [id, hash] of acknowledged) {
      const response = await fetch(`${a.url}/api/v1/uploads/${id}/download`, {
        headers: { Authorization: `Bearer ${user.token}` },
      });
      const found = createHash('sha256').update(Buffer.from(await response.arrayBuffer()));
      expect([response.status, `sha256:${found.digest('hex')}`]).toEqual([200, hash]);
    }
  }
});
