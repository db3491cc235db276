// `npm run bench [-- --quick] [name…]`: runs the cases, prints medians and ratios, writes bench/results/<name>.json and summary.json.
import { chosenFrom } from './lib/arguments.mjs';
import { runCases } from './lib/runner.mjs';

const CASES = {
  'who-am-i': 'GET /users/me, against a JWT check and one row in bare Fastify + pg',
  login: 'sign-ins and GET /health beside them, against bcryptjs alone and native bcrypt in bare Fastify',
  register: 'sign-ups, against bcryptjs alone',
  'list-users': 'the list of users at a million, against a thousand',
  start: 'cold and warm start, memory at idle',
  memory: 'memory at idle and under three loads, against servers that do nothing else',
  'install-size': 'what an installation without development packages takes of the disk',
  upload: 'one upload of 1 GB and GET /health beside it, against a plain Node pipeline',
  'upload-medium': 'uploads of 10 MB, one by one and 32 at once, against a plain Node pipeline',
  'upload-many': 'memory during 100 uploads of 100 MB at once',
  'upload-small': 'uploads of 10 KB, with and without fsync, against a plain Node pipeline',
  download: 'one download of 1 GB and 32 of 20 MB, against createReadStream and nginx',
  'list-files': 'the list of files of a user with a million, and the deletion of that user',
  'list-admin': "the admin's lists at a million users, files and entries",
  'broadcast-fan-out': '1 KB to 2,000, 5,000 and 10,000 sockets, against Socket.IO by itself',
  'broadcast-publish': 'durable messages through REST, against single-row inserts by pgbench',
  'broadcast-reconnect': '5,000 sockets come back after kill -9',
};

const names = chosenFrom(CASES, 'npm run bench [-- [--list] [--quick] name…]');
process.exit(await runCases(names, { importCase: (name) => import(`./cases/${name}.mjs`) }));
