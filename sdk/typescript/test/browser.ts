import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import ts from 'typescript';

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const SOURCES = join(__dirname, '../src');
const PACKAGES = join(__dirname, '../../../node_modules');

/** What a page without a bundler has to name: where each package's module for browsers is. */
export const IMPORTS = {
  '@gatehouse/client': '/client/index.js',
  'socket.io-client': '/packages/socket.io-client/dist/socket.io.esm.min.js',
  'eventsource-parser': '/packages/eventsource-parser/dist/index.js',
};
const PAGE = `<!doctype html><title>Client</title><script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>`;

/** `describe`, unless there is no browser: then it says so, and leaves the tests out. */
export function inBrowser(what: string): jest.Describe {
  if (existsSync(CHROMIUM)) return describe;
  process.stderr.write(`${what}: not tested, there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`);
  return describe.skip;
}

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  });
}

/** An origin with an empty page that can `import('@gatehouse/client')`, compiled as it is asked for. */
export async function startPages(): Promise<{ origin: string; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname);
    const content = path === '/' ? PAGE : moduleAt(path);
    response.writeHead(content === null ? 404 : 200, {
      'Content-Type': path === '/' ? 'text/html' : 'text/javascript',
    });
    response.end(content ?? '');
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function moduleAt(path: string): string | null {
  const [, room, rest] = /^\/(client|packages)\/(.+)$/.exec(path) ?? [];
  if (!room) return null;
  const file = room === 'client' ? join(SOURCES, rest.replace(/\.js$/, '.ts')) : join(PACKAGES, rest);
  if (!existsSync(file)) return null;
  const text = readFileSync(file, 'utf8');
  if (room === 'packages') return text;
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  return ts.transpileModule(text, { compilerOptions }).outputText;
}
