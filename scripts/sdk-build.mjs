// Compiles the TypeScript client into sdk/typescript/dist, which is whole at any time: somebody may be reading it, or doing the same.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const sdk = join(dirname(dirname(fileURLToPath(import.meta.url))), 'sdk/typescript');
const dist = join(sdk, 'dist');
const filesOf = (directory) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(directory, join(parentPath, name)))
    .sort();

function isSame(one, other) {
  if (!existsSync(other)) return false;
  const files = filesOf(one);
  if (files.join() !== filesOf(other).join()) return false;
  return files.every((file) => readFileSync(join(one, file)).equals(readFileSync(join(other, file))));
}

const [made, old] = [mkdtempSync(`${dist}-`), mkdtempSync(`${dist}-`)];
try {
  const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-p', sdk, '--outDir', join(made, 'dist')], { stdio: 'inherit' });
  for (;;) {
    try {
      if (isSame(join(made, 'dist'), dist)) break;
      rmSync(join(old, 'dist'), { recursive: true, force: true });
      if (existsSync(dist)) renameSync(dist, join(old, 'dist'));
      renameSync(join(made, 'dist'), dist);
      break;
    } catch (error) {
      // Another build was quicker.
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
    }
  }
} finally {
  for (const directory of [made, old]) rmSync(directory, { recursive: true, force: true });
}
