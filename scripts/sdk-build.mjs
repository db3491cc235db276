// Compiles the TypeScript client into sdk/typescript/dist, which is whole at any time: somebody may be reading it.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const sdk = join(dirname(dirname(fileURLToPath(import.meta.url))), 'sdk/typescript');
const dist = join(sdk, 'dist');
const [made, old] = [mkdtempSync(`${dist}-`), mkdtempSync(`${dist}-`)];
try {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', sdk, '--outDir', join(made, 'dist')], { stdio: 'inherit' });
  if (existsSync(dist)) renameSync(dist, join(old, 'dist'));
  renameSync(join(made, 'dist'), dist);
} finally {
  for (const directory of [made, old]) rmSync(directory, { recursive: true, force: true });
}
