// Builds and packs both clients into sdk/dist: what `npm install` and `pip install` take.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Another folder may be given. */
const target = resolve(process.argv[2] ?? join(root, 'sdk/dist'));
mkdirSync(target, { recursive: true });
for (const name of readdirSync(target).filter((name) => /^gatehouse[-_]client-.*\.(tgz|whl)$/.test(name)))
  rmSync(join(target, name));

execFileSync('npm', ['pack', '--silent', '--pack-destination', target], {
  cwd: join(root, 'sdk/typescript'),
  stdio: ['ignore', 'ignore', 'inherit'],
  shell: process.platform === 'win32',
});

const python = ['python3', '/usr/bin/python3'].find(
  (command) => spawnSync(command, ['-c', 'import build, setuptools, wheel']).status === 0,
);
if (python) buildWheel(python);
else process.stderr.write('The Python client is not packed: no python3 has the modules build, setuptools and wheel\n');

for (const name of readdirSync(target).sort()) process.stdout.write(`${join(target, name)}\n`);

/** In a copy: setuptools leaves folders of its own beside the sources. */
function buildWheel(command) {
  const copy = mkdtempSync(join(tmpdir(), 'gatehouse-wheel-'));
  try {
    const source = join(root, 'sdk/python');
    const isSource = (path) => !/^(build|dist|__pycache__|.*\.egg-info)$/.test(basename(path));
    cpSync(source, copy, { recursive: true, filter: (path) => path === source || isSource(path) });
    const { status, stdout, stderr } = spawnSync(
      command,
      ['-m', 'build', '--wheel', '--no-isolation', '--outdir', target, copy],
      { encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`The wheel could not be built:\n${stdout}${stderr}`);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
