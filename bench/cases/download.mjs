import { join } from 'node:path';
import { accountOf, signUp } from '../lib/api.mjs';
import { startDatabaseServer } from '../lib/database.mjs';
import { transfer } from '../lib/load.mjs';
import { hasNginx, startNginx } from '../lib/nginx.mjs';
import { print } from '../lib/report.mjs';
import { startPlainDownload, startProduct } from '../lib/servers.mjs';
import { settings } from '../lib/settings.mjs';
import { atLeast, atMost, row } from '../lib/summary.mjs';
import { download, printTransfers, transferSide } from '../lib/transfers.mjs';

const PARALLEL = 32;
const PARALLEL_MEGABYTES = Math.min(20, settings.uploadMegabytes);

/** Files from the kernel's cache, against Node's own stream of the same file and nginx's sendfile. */
export async function run(stage) {
  const database = await startDatabaseServer(stage);
  const DATA_DIR = join(stage.temporaryDirectory(), 'data');
  const environment = { DATABASE_URL: database.url(), DATA_DIR, BCRYPT_COST: '10' };
  const product = await startProduct(stage, environment);
  const token = await signUp(product, accountOf(0));
  const servers = await startServers(stage, { product, environment, folder: join(DATA_DIR, 'files'), token });
  const results = [];
  const summary = [];
  for (const [megabytes, count] of [
    [settings.uploadMegabytes, 1],
    [PARALLEL_MEGABYTES, PARALLEL],
  ]) {
    const id = await addFile(stage, product, token, megabytes);
    const sides = servers.map((side) => ({ ...side, path: side.pathOf(id), rounds: [] }));
    for (const side of sides) await download(stage, side, { megabytes });
    for (let i = 0; i < settings.rounds; i++) {
      for (const side of sides) side.rounds.push(await download(stage, side, { megabytes, count }));
    }
    const title = `${count === 1 ? 'one download' : `${count} downloads`} of ${megabytes} MB`;
    results.push(printTransfers(title, sides));
    summary.push(...summarise(title, count, results.at(-1)));
    print(count === 1 ? 'aims: ratio ≥ 2, growth < 150 MB\n' : '');
  }
  return { results, summary };
}

function summarise(title, count, [plain, ours, nginx]) {
  const facts = (side, ratio) => ({
    ...{ unit: 'MB/s', ours: ours.megabytesPerSecond },
    ...{ beside: side.megabytesPerSecond, by: side.name, ratio },
  });
  const growth = { unit: 'MB', ours: ours.growthMegabytes };
  return [
    row(title, facts(plain, ours.ratio), ...(count === 1 ? [atLeast('ratio', 2)] : [])),
    ...(nginx ? [row('…', facts(nginx, ours.ratio / nginx.ratio))] : []),
    row('… memory above idle', growth, atMost('ours', 150)),
  ];
}

const inFolder = (id) => `/${id.slice(-2)}/${id}`;
const inApi = (id) => `/api/v1/uploads/${id}/download`;

async function startServers(stage, { product, environment, folder, token }) {
  const plain = await startPlainDownload(stage, folder);
  const side = (name, server, pathOf) => ({ ...transferSide(name, server, null, token), pathOf });
  const servers = [side('createReadStream', plain, inFolder), side('Gatehouse', product, inApi)];
  if (!hasNginx()) {
    print('nginx is not on the PATH: no rows of it\n');
    return servers;
  }
  const behind = await startProduct(stage, { ...environment, X_ACCEL_REDIRECT: '/internal/' });
  const nginx = await startNginx(stage, { folder, upstream: behind.url });
  return [
    ...servers,
    side('nginx, sendfile', nginx, (id) => `/files${inFolder(id)}`),
    side('Gatehouse behind nginx, X-Accel-Redirect', nginx, inApi),
  ];
}

async function addFile(stage, { url }, token, megabytes) {
  const { answers } = await transfer(stage, 'send', { url: `${url}/api/v1/uploads`, token, megabytes, count: 1 });
  return answers[0].id;
}
