// Compiles the TypeScript client into sdk/typescript/dist.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const sdk = join(dirname(dirname(fileURLToPath(import.meta.url))), 'sdk/typescript');
rmSync(join(sdk, 'dist'), { recursive: true, force: true });
const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [compiler, '-p', sdk], { stdio: 'inherit' });
