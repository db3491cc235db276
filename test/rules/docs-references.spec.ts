import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '../..');
const filesIn = (folder: string, ending: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(ending))
    .map((path) => join(folder, path));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const sources = filesIn('src', '.ts');
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...filesIn('docs', '.md'),
  'sdk/typescript/README.md',
  'sdk/python/README.md',
];
const code = [...sources, ...filesIn('sdk/typescript/src', '.ts'), ...filesIn('sdk/python/src', '.py')]
  .map(read)
  .join('\n');

describe('what the documents name is there', () => {
  it('decisions that the code points to', () => {
    const decisions = readdirSync(join(root, 'docs/adr'));
    const named = [...code.matchAll(/docs\/adr\/(\d{4})/g)].map(([, number]) => number);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((number) => !decisions.some((name) => name.startsWith(number)))).toEqual([]);
  });

  it('links from page to page', () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map(([, target]) => join(page, '..', target))
        .filter((target) => !existsSync(join(root, target))),
    );
    expect(broken).toEqual([]);
  });

  it('our classes', () => {
    const known =
      /^(UUIDv7|PostgreSQL|NestJS|TypeORM|OpenAPI|ObjectIds?|KeyObject|DbC|HttpException|NodeNext|SemVer|XResponse)$/;
    const names = pages.flatMap((page) =>
      [...read(page).matchAll(/`@?([A-Z][a-z]+(?:[A-Z][a-z]+)+)(?:\(\))?`/g)].map(([, name]) => name),
    );
    expect(names.length).toBeGreaterThan(3);
    expect([...new Set(names)].filter((name) => !known.test(name) && !new RegExp(`\\b${name}\\b`).test(code))).toEqual(
      [],
    );
  });
});
