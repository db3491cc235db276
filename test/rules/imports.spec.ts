import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';

const SRC = join(__dirname, '../../src');

/** Who may import whom; the table of `docs/architecture.md`. The composition root (files directly in src) may import everything. */
const MAY_IMPORT: Record<string, string[]> = {
  common: [],
  config: ['common'],
  database: ['common', 'config', 'migrations'],
  coordination: ['common', 'config'],
  workers: ['common', 'config', 'database', 'coordination', 'server'],
  users: ['common', 'config', 'database'],
  mail: ['common', 'config', 'database'],
  audit: ['common', 'config', 'database'],
  auth: ['common', 'config', 'database', 'users', 'mail'],
  uploads: ['common', 'config', 'database'],
  broadcasting: ['common', 'config', 'database', 'coordination', 'auth', 'users', 'uploads'],
  admin: ['common', 'config', 'database', 'users', 'auth', 'uploads', 'audit'],
  'personal-data': ['common', 'config', 'database', 'users', 'auth', 'uploads', 'audit'],
  metrics: ['common', 'config', 'database', 'coordination', 'users', 'auth', 'uploads', 'broadcasting', 'mail', 'src'],
  pages: ['common', 'config'],
  health: ['common', 'config', 'database', 'uploads'],
  server: ['common', 'config', 'database', 'auth', 'users', 'src'],
};

/** What of another feature may be imported at all: never its repositories, entities or controllers. */
const PUBLIC_FILES =
  /\.(module|service|events|guard|response|query|errors)\.js$|\/(access-tokens|password-hasher|live-uploads)\.js$/;
/** Whom a feature knows by events alone. */
const EVENTS_ONLY = new Set(['broadcasting → uploads']);
const FEATURES = new Set([
  ...['users', 'auth', 'uploads', 'broadcasting', 'admin', 'health'],
  ...['mail', 'audit', 'personal-data', 'metrics', 'pages'],
]);

interface Import {
  file: string;
  from: string;
  target: string;
  to: string;
}

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
  (path) => /\.ts$/.test(path) && !path.endsWith('.d.ts'),
);

const roomOf = (path: string) => {
  const parts = path.split(sep);
  if (parts[0] === '..') return parts[1];
  return parts.length === 1 || parts[0] === 'commands' ? 'src' : parts[0];
};

const imports: Import[] = sources.flatMap((file) =>
  [...readFileSync(join(SRC, file), 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(([, specifier]) => {
    const target = relative(SRC, normalize(join(SRC, dirname(file), specifier)));
    return { file, from: roomOf(file), target, to: roomOf(target) };
  }),
);

describe('who imports whom', () => {
  it('finds the sources', () => {
    expect(imports.length).toBeGreaterThan(100);
  });

  it('keeps to the table', () => {
    const strangers = imports.filter(
      ({ from, to }) => from !== 'src' && from !== to && !MAY_IMPORT[from]?.includes(to),
    );
    expect(strangers.map(({ file, target }) => `${file} → ${target}`)).toEqual([]);
  });

  it('lets the server import of the composition root nothing but the documents', () => {
    const used = imports.filter(({ from, to }) => from === 'server' && to === 'src').map(({ target }) => target);
    expect([...new Set(used)].sort()).toEqual(['asyncapi.js', 'openapi.js']);
  });

  it('lets broadcasting know uploads by their events alone', () => {
    const known = imports.filter(({ from, to }) => EVENTS_ONLY.has(`${from} → ${to}`)).map(({ target }) => target);
    expect(known.length).toBeGreaterThan(0);
    expect(known.filter((target) => !target.endsWith('.events.js'))).toEqual([]);
  });

  it('takes only services, events, guards, errors, queries and answers from another feature', () => {
    const reaches = imports.filter(
      ({ from, to, target }) =>
        from !== to && from !== 'src' && FEATURES.has(to) && !PUBLIC_FILES.test(`/${target.split(sep).join('/')}`),
    );
    expect(reaches.map(({ file, target }) => `${file} → ${target}`)).toEqual([]);
  });

  it('never imports a DTO as a type only, which would turn its validation off', () => {
    const typeOnly = sources.filter(
      (file) =>
        /import type \{[^}]*(Dto|Query)\b[^}]*\} from/.test(readFileSync(join(SRC, file), 'utf8')) &&
        /controller|gateway/.test(file),
    );
    expect(typeOnly).toEqual([]);
  });

  it('uses no forwardRef', () => {
    expect(sources.filter((file) => readFileSync(join(SRC, file), 'utf8').includes('forwardRef'))).toEqual([]);
  });

  it('keeps main.ts short', () => {
    const lines = readFileSync(join(SRC, 'main.ts'), 'utf8').trimEnd().split('\n');
    expect(lines.filter((line) => !line.startsWith('import')).length).toBeLessThanOrEqual(25);
  });

  it('keeps every file under 300 lines', () => {
    expect(sources.filter((file) => readFileSync(join(SRC, file), 'utf8').split('\n').length > 300)).toEqual([]);
  });
});
