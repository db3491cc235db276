/** Of each: its variable, the default, and what `--quick` takes: a quarter of an hour for the whole suite. The large list keeps its million. */
const SETTINGS = {
  /** Rounds of each side, one after the other in turn. */
  rounds: ['BENCH_ROUNDS', 5, 3],
  /** Length of one round of requests that take milliseconds. */
  seconds: ['BENCH_SECONDS', 5, 2],
  /** Length of one round of requests that hash a password. */
  hashSeconds: ['BENCH_HASH_SECONDS', 20, 8],
  connections: ['BENCH_CONNECTIONS', 64],
  loginsInFlight: ['BENCH_LOGINS', 32],
  bcryptCost: ['BENCH_BCRYPT_COST', 12],
  /** Rows of the large list. */
  users: ['BENCH_USERS', 1_000_000],
  /** Calls of each query of a list. */
  samples: ['BENCH_SAMPLES', 50, 10],
  /** Size of the one large file. */
  uploadMegabytes: ['BENCH_UPLOAD_MB', 1000],
  /** Uploads at once, and the size of each. */
  parallelUploads: ['BENCH_PARALLEL', 100],
  parallelMegabytes: ['BENCH_PARALLEL_MB', 100, 20],
  /** Rows of the long list of files; of the admin's lists no more than these. */
  files: ['BENCH_FILES', 1_000_000, 200_000],
  /** Sockets of the largest fan-out; half of them come back at once. */
  sockets: ['BENCH_SOCKETS', 10_000],
};

const isQuick = process.argv.includes('--quick');

function valueOf([variable, fallback, quick = fallback]) {
  const text = process.env[variable] ?? String(isQuick ? quick : fallback);
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  process.stderr.write(`${variable} takes a whole number from 1 on, not "${text}"\n`);
  process.exit(2);
}

export const settings = Object.fromEntries(Object.entries(SETTINGS).map(([name, one]) => [name, valueOf(one)]));

/** Smaller than `--quick` in anything (`BENCH_ROUNDS=1 BENCH_USERS=20000`): shows that everything works, not how fast it is. */
export const isSmoke = (used) =>
  Object.entries(SETTINGS).some(([name, [, fallback, quick = fallback]]) => used[name] < quick);
