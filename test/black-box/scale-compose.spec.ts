import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml';
import { readEnvironment } from '../../src/config/environment.js';
import { variables } from '../../src/config/variables.js';

interface Service {
  image?: string;
  build?: string;
  profiles?: string[];
  ports?: string[];
  volumes?: string[];
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: object;
}

const ROOT = join(__dirname, '../..');
const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
const { services, volumes } = load(text, { schema: CORE_SCHEMA.withTags(mergeTag) }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const NODES = ['node-1', 'node-2', 'node-3'];
/** What else .env may say. */
const OF_THE_COMPOSITION = ['APP_REPLICAS', 'POSTGRES_PASSWORD', 'REDIS_PASSWORD'];

/** The program's own variables that .env does not decide, at all or in the nodes. */
const FIXED = {
  absent: ['NODE_ENV', 'HOST', 'PORT', 'DATA_DIR', 'DATABASE_DIRECT_URL'],
  everywhere: ['DATABASE_URL', 'JWT_SECRET'],
  inNodes: [
    'TRUST_PROXY',
    'REDIS_URL',
    'STORAGE_DRIVER',
    'X_ACCEL_REDIRECT',
    'S3_ENDPOINT',
    'S3_BUCKET',
    'S3_FORCE_PATH_STYLE',
  ],
};

const startedWith = (profile: string | null) =>
  Object.keys(services)
    .filter((name) => !services[name].profiles || services[name].profiles.includes(profile ?? ''))
    .sort();

describe('docker-compose.yml', () => {
  it('starts the program and its PostgreSQL, and with the profile "scale" all that many nodes need', () => {
    expect(startedWith(null)).toEqual(['app', 'postgres']);
    expect(startedWith('scale')).toEqual(['app', 'nginx', ...NODES, 'postgres', 'redis', 's3']);
  });

  it('publishes nothing but the one way in', () => {
    const published = Object.keys(services).filter((name) => services[name].ports);
    expect(published).toEqual(['app', 'nginx']);
    // The two would not come up together: who starts many nodes leaves the single one out.
    expect(services.app.ports?.[0].split(':8000')[0]).toBe(services.nginx.ports?.[0].split(':80')[0]);
    expect(text).toMatch(/replicas: \$\{APP_REPLICAS:-1\}/);
  });

  it('waits for what a service needs until it is well', () => {
    const isBuilt = /^HEALTHCHECK /m.test(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
    for (const [name, { depends_on: needs = {}, profiles }] of Object.entries(services)) {
      for (const [needed, { condition }] of Object.entries(needs)) {
        expect([name, needed, condition]).toEqual([name, needed, 'service_healthy']);
        expect(
          services[needed].healthcheck !== undefined || (isBuilt && services[needed].image === services.app.image),
        ).toBe(true);
        expect(startedWith(profiles?.[0] ?? null)).toContain(needed);
      }
    }
    expect(Object.keys(services.nginx.depends_on ?? {})).toEqual(NODES);
  });

  it('gives the program every variable that it reads as .env has it, but for those that are fixed', () => {
    for (const name of ['app', ...NODES]) {
      const { environment = {} } = services[name];
      expect(Object.keys(environment).sort()).toEqual(
        Object.keys(variables)
          .filter((variable) => !FIXED.absent.includes(variable))
          .sort(),
      );
      const passed = Object.keys(environment).filter((variable) => environment[variable] === `\${${variable}:-}`);
      const fixed = [...FIXED.everywhere, ...(name === 'app' ? [] : FIXED.inNodes)];
      expect(
        Object.keys(environment)
          .filter((variable) => !passed.includes(variable))
          .sort(),
      ).toEqual(fixed.sort());
    }
    const asked = [...text.matchAll(/(?<!\$)\$\{(\w+)/g)].map(([, name]) => name);
    expect(asked.filter((name) => !(name in variables) && !OF_THE_COMPOSITION.includes(name))).toEqual([]);
  });

  it('takes an empty variable for one that is not set, of every kind', () => {
    const empty = Object.fromEntries(Object.keys(variables).map((name) => [name, '']));
    expect(readEnvironment(empty)).toEqual(readEnvironment({}));
  });

  it('builds the image once, and asks nobody else for it', () => {
    expect(Object.keys(services).filter((name) => services[name].build !== undefined)).toEqual(['app']);
    for (const name of NODES) expect(services[name]).toMatchObject({ image: services.app.image, pull_policy: 'never' });
  });

  it('asks for the two secrets that everybody needs, and has none of its own', () => {
    expect(new Set([...text.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name))).toEqual(
      new Set(['POSTGRES_PASSWORD', 'JWT_SECRET']),
    );
    const secrets = Object.values(services).flatMap(({ environment = {} }) =>
      Object.entries(environment).filter(([name]) => /PASSWORD|SECRET|ACCESS_KEY|TOKEN/.test(name)),
    );
    expect(secrets.filter(([, value]) => !/^\$\{\w+:[-?][^}]*\}$/.test(value))).toEqual([]);
    expect(secrets.length).toBeGreaterThan(10);
  });

  it('has all nodes on one database, one Redis and one bucket, behind the proxy that they trust', () => {
    for (const name of NODES)
      expect(services[name].environment).toMatchObject({
        DATABASE_URL: services.app.environment?.DATABASE_URL,
        JWT_SECRET: services.app.environment?.JWT_SECRET,
        REDIS_URL: 'redis://:${REDIS_PASSWORD:-}@redis:6379',
        STORAGE_DRIVER: 's3',
        S3_ENDPOINT: '${S3_ENDPOINT:-http://s3:8333}',
        S3_BUCKET: services.s3.environment?.S3_BUCKET,
        TRUST_PROXY: '${TRUST_PROXY:-1}',
      });
  });

  it('fills in all that the configuration of nginx leaves open', () => {
    const [mount, main] = services.nginx.volumes ?? [];
    expect(main).toBe('./deploy/nginx/nginx.conf:/etc/nginx/nginx.conf:ro');
    const [file, target, mode] = mount.split(':');
    expect([target, mode]).toEqual(['/etc/nginx/templates/default.conf.template', 'ro']);
    expect(existsSync(join(ROOT, file))).toBe(true);
    const open = [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^[^#\n]*?\$\{(\w+)\}.*$/gm)].map(
      ([line]) => line,
    );
    const names = open.flatMap((line) => [...line.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name));
    expect([...new Set(names)].sort()).toEqual(Object.keys(services.nginx.environment ?? {}).sort());
    expect(NODES.map((_, at) => services.nginx.environment?.[`GATEHOUSE_NODE_${at + 1}`])).toEqual(
      NODES.map((name) => `${name}:8000`),
    );
  });

  it('names versions, and volumes that there are', () => {
    for (const { image, volumes: mounts = [] } of Object.values(services)) {
      expect(image === services.app.image || /:\d[\w.-]*$/.test(image ?? '')).toBe(true);
      for (const mount of mounts.filter((one) => !one.startsWith('.')))
        expect(Object.keys(volumes)).toContain(mount.split(':')[0]);
    }
  });
});
