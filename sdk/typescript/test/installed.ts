import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const SDK = join(__dirname, '..');
const PACKAGES = join(__dirname, '../../../node_modules');

/** A folder in which the client and what it needs are installed, made without npm, for programs that run in plain Node.js. */
export function installedClient(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'gatehouse-client-'));
  const client = join(path, 'node_modules/@gatehouse/client');
  for (const name of readdirSync(join(SDK, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const target = join(client, 'dist', name.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, compiled(join(SDK, 'src', name)));
  }
  writeFileSync(join(client, 'package.json'), readFileSync(join(SDK, 'package.json')));
  for (const name of ['socket.io-client', 'eventsource-parser', 'tus-js-client'])
    symlinkSync(join(PACKAGES, name), join(path, 'node_modules', name));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

function compiled(source: string): string {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  return ts.transpileModule(readFileSync(source, 'utf8'), { compilerOptions }).outputText;
}
