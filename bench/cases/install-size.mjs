import { spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { folderSize } from '../lib/folder-size.mjs';
import { print, printTable, round } from '../lib/report.mjs';
import { row } from '../lib/summary.mjs';

const ROOT = join(import.meta.dirname, '../..');
const INPUTS = ['package.json', 'package-lock.json', '.npmrc'];
const WITHIN_MS = 300_000;
const LARGEST = 10;
const MEGABYTE = 1_000_000;

/** What is on the disk after an installation without development packages, beside the compiled program. */
export async function run(stage) {
  const folder = stage.temporaryDirectory();
  for (const name of INPUTS) if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(folder, name));
  const program = folderSize(join(ROOT, 'dist'));
  const install = ['ci', '--omit=dev', '--prefer-offline', '--ignore-scripts', '--no-audit'];
  const isInstalled = await npm(stage, install, folder).then(
    () => true,
    (error) => print(`npm ci failed (${firstLine(error)}): the packages that are installed here are counted\n`),
  );
  const packages = isInstalled ? packagesOf(folder) : await packagesInUse(stage);
  return report(program, packages, Boolean(isInstalled));
}

const firstLine = ({ message }) => message.split('\n')[0];

/** Each folder below `node_modules`, without the packages inside it. */
function packagesOf(root, parent = root) {
  const modules = join(parent, 'node_modules');
  if (!existsSync(modules)) return [];
  const names = readdirSync(modules).filter((name) => !name.startsWith('.'));
  const folders = names.flatMap((name) =>
    name.startsWith('@')
      ? readdirSync(join(modules, name)).map((inner) => join(modules, name, inner))
      : [join(modules, name)],
  );
  return folders.flatMap((path) => [measure(path, root), ...packagesOf(root, path)]);
}

/** The same of the packages that the program needs, among those of a checkout. */
async function packagesInUse(stage) {
  const paths = (await npm(stage, ['ls', '--omit=dev', '--all', '--parseable'], ROOT)).split('\n').slice(1);
  return [...new Set(paths)].filter((path) => path && existsSync(path)).map((path) => measure(path, ROOT));
}

const measure = (path, root) => ({
  name: relative(join(root, 'node_modules'), path),
  ...folderSize(path, (inner) => inner === 'node_modules'),
});

function npm(stage, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, { cwd, timeout: WITHIN_MS, stdio: ['ignore', 'pipe', 'pipe'] });
    stage.onClose(() => child.kill());
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) child[stream].on('data', (chunk) => (output[stream] += chunk));
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve(output.stdout) : reject(new Error(output.stderr || `${code}`)),
    );
  });
}

function report(program, packages, isInstalled) {
  const total = packages.reduce((sum, { bytes }) => sum + bytes, 0);
  const files = packages.reduce((sum, one) => sum + one.files, 0);
  const largest = packages.toSorted((a, b) => b.bytes - a.bytes).slice(0, LARGEST);
  const line = (name, bytes, count) => [name, round(bytes / MEGABYTE, 1), count];
  printTable(
    ['', 'MB', 'files'],
    [
      line('dist', program.bytes, program.files),
      line(`node_modules, ${packages.length} packages`, total, files),
      ...largest.map((one) => line(`… ${one.name}`, one.bytes, one.files)),
      line('together', program.bytes + total, program.files + files),
    ],
  );
  const megabytes = (program.bytes + total) / MEGABYTE;
  const result = { megabytes, programBytes: program.bytes, packageBytes: total, packages: packages.length, files };
  return { isInstalled, ...result, largest, summary: [row('install size', { unit: 'MB', ours: megabytes })] };
}
