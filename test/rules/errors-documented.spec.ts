import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { STATUS_OF } from '../../src/common/errors/status.js';

const SRC = join(__dirname, '../../src');

const KINDS = Object.keys(STATUS_OF).join('|');

/** Codes as they stand in constructors: `super('kind', 'code', …)`, `new AppError('kind', 'code', …)`, and default parameters. */
function codesInSource(): Set<string> {
  const codes = new Set<string>();
  for (const file of readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))) {
    const text = readFileSync(join(SRC, file), 'utf8');
    for (const pattern of [
      new RegExp(`(?:super|new AppError)\\(\\s*'(?:${KINDS})',\\s*'([a-z0-9_]+)'`, 'g'),
      new RegExp(`\\d: \\['(?:${KINDS})', '([a-z0-9_]+)'\\]`, 'g'),
      /code = '([a-z0-9_]+)'/g,
      /new MalformedRequestError\([^)]*?,\s*'([a-z0-9_]+)'\)/g,
      /new AppError\(\s*[^,']+,\s*'([a-z0-9_]+)'/g,
      /super\(\s*'([a-z0-9_]+)', (?:field|'[a-z_]+'), \[/g,
      /super\(\s*'([a-z0-9_]+)', (?:field|'confirm_password')/g,
      /(?:super|new \w+Error)\(\s*['`][^'`]* [^'`]*['`](?:, \d+)?, '([a-z0-9]+(?:_[a-z0-9]+)+)'\)/g,
    ]) {
      for (const [, code] of text.matchAll(pattern)) codes.add(code);
    }
  }
  return codes;
}

it('docs/errors.md lists exactly the codes of the program', () => {
  const documented = [
    ...readFileSync(join(SRC, '../docs/errors.md'), 'utf8').matchAll(/^\| `([a-z0-9_]+)` \| [45]/gm),
  ].map(([, code]) => code);
  expect([...codesInSource()].sort()).toEqual(documented.sort());
});
