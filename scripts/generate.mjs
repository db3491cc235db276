// Writes what is made from the program: openapi.json, asyncapi.json, .env.example and the README's table of variables.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import './build-if-stale.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { describeAsDotenv, describeAsMarkdown } = await import('../dist/src/config/describe.js');

writeFileSync(join(root, '.env.example'), describeAsDotenv());

const readme = join(root, 'README.md');
const table = /(<!-- variables -->\n)[\s\S]*?(\n<!-- \/variables -->)/;
writeFileSync(
  readme,
  readFileSync(readme, 'utf8').replace(table, (_, open, close) => open + describeAsMarkdown() + close),
);

const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-generate-'));
// As root the database server runs as another user, who must get there.
chmodSync(dataDir, 0o711);
try {
  const cli = join(root, 'dist/src/cli.js');
  const env = { PATH: process.env.PATH, DATA_DIR: dataDir };
  for (const document of ['openapi', 'asyncapi'])
    writeFileSync(
      join(root, `${document}.json`),
      execFileSync(process.execPath, [cli, document], { env, cwd: dataDir, maxBuffer: 2 ** 26 }),
    );
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
