// Compiles when dist/ is missing or older than the sources, so that `npm start` after a `git pull` runs what was pulled.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const inputs = ['src', 'migrations', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
const output = join(root, 'dist/src/cli.js');

const newest = (path) => {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
};

const builtAt = existsSync(output) ? statSync(output).mtimeMs : 0;
if (builtAt < Math.max(...inputs.map((input) => newest(join(root, input))))) {
  let cli;
  try {
    cli = createRequire(import.meta.url).resolve('@nestjs/cli/bin/nest.js');
  } catch {
    if (!builtAt)
      process.stderr.write(
        'Not built: the compiler is a development dependency. Run `npm ci` with it, then `npm run build`.\n',
      );
    process.exit(0);
  }
  // The compiler writes to standard error, so that the output of `npm run` commands stays their own.
  const { status } = spawnSync(process.execPath, [cli, 'build'], { cwd: root, stdio: ['ignore', 2, 2] });
  process.exitCode = status ?? 1;
}
