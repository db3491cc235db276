// `npm run bench:scale [-- --quick] [name…]`: what more processes and more nodes give, and what that costs whom.
import { chosenFrom } from './lib/arguments.mjs';
import { runCases } from './lib/runner.mjs';

const CASES = {
  workers: 'who-am-i, durable publish and fan-out with 1, 2 and 4 processes behind one port',
  nodes: 'the same with 1, 2 and 4 nodes behind nginx, with Redis',
  redis: 'who-am-i and durable publish without REDIS_URL and with it',
};

const names = chosenFrom(CASES, 'npm run bench:scale [-- [--list] [--quick] name…]');
const importCase = (name) => import(`./scale/${name}.mjs`);
process.exit(await runCases(names, { importCase, fileOf: (name) => `scale-${name}` }));
