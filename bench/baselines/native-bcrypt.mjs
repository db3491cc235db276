import { createRequire } from 'node:module';
import { join } from 'node:path';
import bcrypt from 'bcryptjs';
import { Piscina } from 'piscina';

/**
 * `@node-rs/bcrypt` where it is installed, here or in the folder that BENCH_MODULES names; else bcryptjs in worker threads.
 * Which of them it was is part of the result.
 */
export function loadBcrypt() {
  for (const folder of [import.meta.dirname, process.env.BENCH_MODULES].filter(Boolean)) {
    try {
      const native = createRequire(join(folder, 'any.js'))('@node-rs/bcrypt');
      return { name: '@node-rs/bcrypt', compare: (password, hash) => native.compare(password, hash) };
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  const workers = new Piscina({ filename: new URL('./bcryptjs.worker.mjs', import.meta.url).href });
  return { name: 'bcryptjs in worker threads', compare: (password, hash) => workers.run({ password, hash }) };
}

export const hashOf = (password, cost) => bcrypt.hashSync(password, cost);
