/** Small enough to run the whole suite in a quarter of an hour; the large list keeps its million. */
const isQuick = process.argv.includes('--quick');

const number = (name, fallback, quick = fallback) => {
  const value = Number(process.env[name] ?? (isQuick ? quick : fallback));
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} takes a whole number from 1 on`);
  return value;
};

/** Smaller numbers (`BENCH_ROUNDS=1 BENCH_SECONDS=1 BENCH_USERS=20000`) show that everything works, not how fast it is. */
export const settings = {
  /** Rounds of each side, one after the other in turn. */
  rounds: number('BENCH_ROUNDS', 5, 3),
  /** Length of one round of requests that take milliseconds. */
  seconds: number('BENCH_SECONDS', 5, 2),
  /** Length of one round of requests that hash a password. */
  hashSeconds: number('BENCH_HASH_SECONDS', 20, 8),
  connections: number('BENCH_CONNECTIONS', 64),
  loginsInFlight: number('BENCH_LOGINS', 32),
  bcryptCost: number('BENCH_BCRYPT_COST', 12),
  /** Rows of the large list. */
  users: number('BENCH_USERS', 1_000_000),
  /** Calls of each query of a list. */
  samples: number('BENCH_SAMPLES', 50, 10),
  /** Size of the one large file. */
  uploadMegabytes: number('BENCH_UPLOAD_MB', 1000),
  /** Uploads at once, and the size of each. */
  parallelUploads: number('BENCH_PARALLEL', 100),
  parallelMegabytes: number('BENCH_PARALLEL_MB', 100, 20),
  /** Rows of the long list of files; of the admin's lists no more than these. */
  files: number('BENCH_FILES', 1_000_000, 200_000),
  /** Sockets of the largest fan-out; half of them come back at once. */
  sockets: number('BENCH_SOCKETS', 10_000),
};
