// How many passwords bcryptjs compares with nothing around it: a plain worker thread for each core, in a process of its own.
import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import bcrypt from 'bcryptjs';

if (isMainThread)
  process.once('message', async (options) => process.send(await measure(options), () => process.exit(0)));
else parentPort.postMessage(compareFor(workerData));

async function measure({ cost, seconds }) {
  const hash = bcrypt.hashSync('warm and ready', cost);
  const before = process.cpuUsage();
  const workers = Array.from({ length: availableParallelism() }, () => runWorker({ hash, seconds }));
  const results = await Promise.all(workers);
  const { user, system } = process.cpuUsage(before);
  const hashes = results.reduce((total, { compared }) => total + compared, 0);
  return {
    perSecond: results.reduce((total, { compared, took }) => total + (compared / took) * 1000, 0),
    cpuMsEach: (user + system) / 1000 / (hashes + results.length),
  };
}

function runWorker(options) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: options });
    worker.once('message', resolve).once('error', reject);
  });
}

function compareFor({ hash, seconds }) {
  // The first compiles the code and is not counted.
  bcrypt.compareSync('warm and ready', hash);
  const begin = performance.now();
  let compared = 0;
  for (; performance.now() - begin < seconds * 1000; compared++) bcrypt.compareSync('warm and ready', hash);
  return { compared, took: performance.now() - begin };
}
