import { ConfigurationError, readEnvironment } from '../../src/config/environment.js';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load-config.js';

const SECRET = 'long enough and random: 0123456789abcdef';

function faultsOf(source: Record<string, string>): readonly string[] {
  try {
    readEnvironment(source);
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.faults;
    throw error;
  }
}

describe('the configuration', () => {
  it('takes nothing at all', () => {
    expect(readEnvironment({})).toMatchObject({
      PORT: 8000,
      HOST: '0.0.0.0',
      BCRYPT_COST: 12,
      JWT_ACCESS_TTL: 900,
      REFRESH_GRACE: 10,
    });
  });

  it('takes an empty value for unset', () => {
    expect(readEnvironment({ PORT: '', DATABASE_URL: '  ' })).toMatchObject({ PORT: 8000, DATABASE_URL: undefined });
  });

  it.each([
    [{ PORT: 'http' }, 'PORT is "http"; it takes a whole number from 0 to 65535'],
    [{ PORT: '65536' }, 'PORT is "65536"; it takes a whole number from 0 to 65535'],
    [{ PORT: '8000.5' }, 'PORT is "8000.5"; it takes a whole number from 0 to 65535'],
    [{ BCRYPT_COST: '9' }, 'BCRYPT_COST is "9"; it takes a whole number from 10 to 15'],
    [{ REGISTRATION_OPEN: 'maybe' }, 'REGISTRATION_OPEN is "maybe"; it takes true or false'],
    [{ RATE_LIMIT_USER: '100' }, 'RATE_LIMIT_USER is "100"; it takes count/seconds, like 100/60'],
    [{ RATE_LIMIT_USER: '0/60' }, 'RATE_LIMIT_USER is "0/60"; it takes count/seconds, like 100/60'],
    [{ STORAGE_DRIVER: 'ftp' }, 'STORAGE_DRIVER is "ftp"; it takes local, s3'],
    [{ CORS_ORIGINS: '*' }, 'CORS_ORIGINS is "*"; it takes origins like https://app.example.com, separated by commas'],
    [{ PUBLIC_URL: 'example.com' }, 'PUBLIC_URL is "example.com"; it takes a URL that begins with http:// or https://'],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL is "loud"; it takes fatal, error, warn, info, debug, trace'],
    [{ ADMIN_EMAIL: 'nobody', ADMIN_PASSWORD: 'SecurePass123!' }, 'ADMIN_EMAIL is "nobody"; it takes an email address'],
    [
      { ALLOWED_FILE_TYPES: 'image' },
      'ALLOWED_FILE_TYPES is "image"; it takes MIME types like image/png, image/* or *, separated by commas',
    ],
  ])('%j is one line that names variable, value and what it takes', (source, line) => {
    expect(faultsOf(source as Record<string, string>)).toEqual([line]);
  });

  it.each([
    [{ DATABASE_URL: 'mysql://root:hush-hush@db/x' }, 'DATABASE_URL'],
    [{ JWT_SECRET: 'hush-hush' }, 'JWT_SECRET'],
    [{ JWT_SECRET: 'hush'.repeat(20) }, 'JWT_SECRET'],
    [{ SMTP_URL: 'http://u:hush-hush@mail' }, 'SMTP_URL'],
    [{ METRICS_TOKEN: 'hush' }, 'METRICS_TOKEN'],
    [{ ADMIN_EMAIL: 'a@example.com', ADMIN_PASSWORD: 'hush' }, 'ADMIN_PASSWORD'],
  ])('the fault of a secret does not show it (%#)', (source, name) => {
    const [line, ...others] = faultsOf(source as Record<string, string>);
    expect(others).toEqual([]);
    expect(line).toMatch(new RegExp(`^${name} is a secret`));
    expect(line).not.toContain('hush');
  });

  it.each([
    ['postgres://u:p@/db?host=/run/postgresql', 'postgres://u:p@localhost/db?host=/run/postgresql'],
    ['postgresql://u:p@db.example.com:5433/x', 'postgresql://u:p@db.example.com:5433/x'],
    ['postgres:///x?host=/run', 'postgres:///x?host=/run'],
  ])('DATABASE_URL takes %s', (value, parsed) => {
    expect(readEnvironment({ DATABASE_URL: value }).DATABASE_URL).toBe(parsed);
  });

  it('does not mind the case of a choice, nor a slash after an origin', () => {
    const config = loadConfig({ JWT_SECRET: SECRET, LOG_LEVEL: 'WARN', CORS_ORIGINS: 'https://a.example/' });
    expect([config.log.level, config.http.corsOrigins]).toEqual(['warn', ['https://a.example']]);
  });

  it('reports every fault at once', () => {
    expect(faultsOf({ PORT: 'x', BCRYPT_COST: 'y', LOG_LEVEL: 'z' })).toHaveLength(3);
  });

  it.each([
    [{ NODE_ENV: 'production', DATABASE_URL: 'postgres://db/x' }, /^JWT_SECRET is unset/],
    [{ ADMIN_EMAIL: 'a@example.com' }, /^ADMIN_PASSWORD is unset/],
    [{ ADMIN_PASSWORD: 'SecurePass123!' }, /^ADMIN_EMAIL is unset/],
    [{ NODE_ENV: 'production', SMTP_URL: 'smtp://mail' }, /^PUBLIC_URL is unset/],
    [{ STORAGE_DRIVER: 's3', S3_BUCKET: 'b', S3_ACCESS_KEY_ID: 'k' }, /^S3_SECRET_ACCESS_KEY is unset/],
    [{ JWT_ACCESS_TTL: '900', JWT_REFRESH_TTL: '900' }, /^JWT_REFRESH_TTL is 900; it takes more than JWT_ACCESS_TTL/],
    [{ SESSION_MAX_TTL: '100' }, /^SESSION_MAX_TTL is 100; it takes at least JWT_REFRESH_TTL/],
    [{ USER_QUOTA: '11', STORAGE_QUOTA: '10' }, /^USER_QUOTA is 11; it takes at most STORAGE_QUOTA/],
  ])('joins variables: %j', (source, line) => {
    expect(faultsOf(source as Record<string, string>)).toEqual([expect.stringMatching(line)]);
  });

  it.each([
    ['false', false],
    ['0', false],
    ['2', 2],
    ['10.0.0.1, 10.1.0.0/16,loopback', ['10.0.0.1', '10.1.0.0/16', 'loopback']],
    ['::1', ['::1']],
  ])('TRUST_PROXY takes %s', (value, parsed) => {
    expect(readEnvironment({ TRUST_PROXY: value }).TRUST_PROXY).toEqual(parsed);
  });

  it.each(['true', 'everybody', '11', '10.0.0', '-1', '999.1.1.1'])('TRUST_PROXY refuses %s', (value) => {
    expect(faultsOf({ TRUST_PROXY: value })).toHaveLength(1);
  });

  it('is frozen all through', () => {
    const config = loadConfig({ JWT_SECRET: SECRET });
    expect(Object.isFrozen(config) && Object.isFrozen(config.http) && Object.isFrozen(config.rateLimits.user)).toBe(
      true,
    );
  });

  it('signs access and refresh tokens with different keys', () => {
    const { accessKey, refreshKey } = loadConfig({ JWT_SECRET: SECRET }).tokens;
    expect(accessKey.equals(refreshKey)).toBe(false);
    expect(accessKey.export().toString()).toBe(SECRET);
  });

  describe('DATA_DIR', () => {
    let folder: string;
    beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gatehouse-config-'))));
    afterEach(() => rmSync(folder, { recursive: true }));
    const faultOf = (dataDir: string): string => {
      try {
        loadConfig({ DATA_DIR: dataDir });
        return '';
      } catch (error) {
        if (error instanceof ConfigurationError) return error.message;
        throw error;
      }
    };

    it('keeps a secret between starts', () => {
      const keyOf = () =>
        loadConfig({ DATA_DIR: join(folder, 'data') })
          .tokens.accessKey.export()
          .toString();
      expect(keyOf()).toBe(keyOf());
    });

    it.each([
      ['under a file', 'ENOTDIR', () => join(__filename, 'data')],
      ['that is a file', 'ENOTDIR', () => __filename],
      ['that nobody can make', 'ENOENT', () => '/proc/nope/data'],
      [
        'whose secret is none that can be read',
        'EISDIR',
        () => {
          mkdirSync(join(folder, 'jwt-secret'));
          return folder;
        },
      ],
    ])('%s is one line', (_what, code, place) => {
      const dataDir = place();
      const fault = faultOf(dataDir);
      expect(fault.startsWith(`DATA_DIR is ${JSON.stringify(dataDir)}; it takes a folder`)).toBe(true);
      expect(fault).toContain(code);
      expect(fault).not.toContain('\n');
    });

    it('with a secret that is cut short is one line, and does not show it', () => {
      writeFileSync(join(folder, 'jwt-secret'), 'hush-hush');
      expect(faultOf(folder)).toMatch(/jwt-secret does not hold a secret; restore it, [^\n]+$/);
      expect(faultOf(folder)).not.toContain('hush');
    });
  });
});
