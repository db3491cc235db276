import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const ROOT = join(__dirname, '../../..');

const read = (directory: string) => JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));

/** The client as `npm pack` packs it, built from the sources as they are. */
export function packClient(): { tarball: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-pack-'));
  execFileSync('npm', ['pack', '--silent', '--pack-destination', directory], {
    cwd: join(ROOT, 'sdk/typescript'),
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [name] = readdirSync(directory);
  return { tarball: join(directory, name), remove: () => rmSync(directory, { recursive: true }) };
}

/**
 * A folder of its own into which npm has installed the packed client, what it depends on, and the packages that are named. All
 * of them come from this repository's node_modules as packages of files, so that no registry is asked: npm fails when the client
 * needs another version than is there.
 */
export function installClient(tarball: string, packages: string[] = []): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'gatehouse-consumer-'));
  const remove = () => rmSync(path, { recursive: true, force: true });
  try {
    const { dependencies } = read(join(ROOT, 'sdk/typescript'));
    const needed = closureOf([...Object.keys(dependencies), ...packages]);
    const files = needed.map((directory, at) => packInto(path, directory, at));
    writeFileSync(join(path, 'package.json'), '{ "private": true, "type": "module" }');
    const flags = ['--offline', '--no-audit', '--no-fund', '--silent', '--omit=optional', '--ignore-scripts'];
    execFileSync('npm', ['install', ...flags, tarball, ...files], { cwd: path, stdio: ['ignore', 'pipe', 'pipe'] });
    return { path, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Where these packages are and all that they depend on. */
function closureOf(names: string[]): string[] {
  const found = new Set<string>();
  const visit = (name: string, from: string) => {
    const directory = nearest(name, from);
    if (found.has(directory)) return;
    found.add(directory);
    for (const dependency of Object.keys(read(directory).dependencies ?? {})) visit(dependency, directory);
  };
  for (const name of names) visit(name, ROOT);
  return [...found];
}

/** As Node.js looks for a package. */
function nearest(name: string, from: string): string {
  const directory = join(from, 'node_modules', name);
  if (existsSync(directory)) return directory;
  if (dirname(from) === from) throw new Error(`there is no ${name}`);
  return nearest(name, dirname(from));
}

function packInto(target: string, directory: string, at: number): string {
  const file = join(target, `package-${at}.tgz`);
  execFileSync('tar', ['-chzf', file, '--exclude=./node_modules', '--transform=s,^\\.,package,', '-C', directory, '.']);
  return file;
}
