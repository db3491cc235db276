import { redactor } from '../../src/commands/doctor/redaction.js';
import { ConfigurationError } from '../../src/config/environment.js';
import { loadConfig } from '../../src/config/load-config.js';

const JWT_SECRET = 'b7Qm2xZr9LwTfK4sVn8JhC3dYp6GaE5u';
const MAIN = 'postgres://gatehouse:hush-1@main:5432/gatehouse';

const databaseOf = (environment: Record<string, string>) => loadConfig({ JWT_SECRET, ...environment }).database;

function faultsOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig({ JWT_SECRET, ...environment });
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.faults;
    throw error;
  }
}

describe('the variables of the database', () => {
  it('are none by default', () => {
    expect(databaseOf({})).toEqual({ url: null, directUrl: null, poolSize: 10, replicaUrls: [], replicaPoolSize: 10 });
  });

  it('take several replicas, whose passwords may have commas, and sockets', () => {
    const one = 'postgres://gatehouse:a,b@one:5432/gatehouse';
    const { replicaUrls } = databaseOf({
      DATABASE_URL: MAIN,
      DATABASE_REPLICA_URLS: `${one} , postgresql://gatehouse:c@/gatehouse?host=/run/two`,
    });
    expect(replicaUrls).toEqual([one, 'postgresql://gatehouse:c@localhost/gatehouse?host=/run/two']);
  });

  it('take a direct way beside a pooler; the same twice is no pooler', () => {
    const direct = 'postgres://gatehouse:hush-2@server:5432/gatehouse';
    expect(databaseOf({ DATABASE_URL: MAIN, DATABASE_DIRECT_URL: direct }).directUrl).toBe(direct);
    expect(databaseOf({ DATABASE_URL: MAIN, DATABASE_DIRECT_URL: MAIN }).directUrl).toBeNull();
  });

  it.each([
    ['DATABASE_DIRECT_URL', { DATABASE_DIRECT_URL: MAIN }, 'DATABASE_URL is unset; it is required with'],
    ['DATABASE_REPLICA_URLS', { DATABASE_REPLICA_URLS: MAIN }, 'DATABASE_URL is unset; it is required with'],
    [
      'DATABASE_DIRECT_URL',
      { DATABASE_URL: MAIN, DATABASE_DIRECT_URL: 'mysql://hush' },
      'is a secret of 12 characters',
    ],
    ['DATABASE_REPLICA_URLS', { DATABASE_URL: MAIN, DATABASE_REPLICA_URLS: `${MAIN},hush` }, 'is a secret of'],
    ['DATABASE_REPLICA_POOL_SIZE', { DATABASE_REPLICA_POOL_SIZE: '0' }, 'is "0"; it takes a whole number from 1'],
  ])('refuse a wrong %s in one line without a secret', (name, environment, fault) => {
    const faults = faultsOf(environment as Record<string, string>);
    expect(faults).toEqual([expect.stringContaining(fault)]);
    expect(faults[0]).toContain(name);
    expect(faults[0]).not.toContain('hush');
  });

  const ONE_URL = 'it takes one URL; several replicas are separated by commas';
  const ONE_HOST = 'it takes a URL with one host';
  const ESCAPED = 'it takes a URL whose user and password are percent-encoded';
  const OTHER = 'postgres://gatehouse:hush-2@other:5432/gatehouse';

  it.each([
    [`${MAIN} ${OTHER}`, ONE_URL],
    [`${MAIN};${OTHER}`, ONE_URL],
    [`${MAIN}\n${OTHER}`, ONE_URL],
    [`${MAIN}?sslmode=require ${OTHER}`, ONE_URL],
    ['postgres://gatehouse:hush/1@main/gatehouse', ESCAPED],
    ['postgres://gatehouse:12/hush@main/gatehouse', ESCAPED],
    ['postgres://gatehouse:12?hush@main/gatehouse', ESCAPED],
    ['postgres://gatehouse:12#hush@main/gatehouse', ESCAPED],
    ['postgres://gatehouse:a@hush/b@main/gatehouse', ESCAPED],
    ['postgres://gatehouse:a@hush?b@main/gatehouse', ESCAPED],
    ['postgres://gatehouse:a@hush#b@main/gatehouse', ESCAPED],
    ['postgres://gatehouse:a@hush?b=c@main/gatehouse', ESCAPED],
    ['postgres://gatehouse:hush@one,two/gatehouse', ONE_HOST],
    ['postgres://gatehouse:hush@one:5432,two:5432/gatehouse', ONE_HOST],
    ['postgres://gatehouse:hush@/gatehouse?host=one,two', ONE_HOST],
  ])('refuse what would make a part of a secret a host or a name (%#)', (value, expected) => {
    for (const name of ['DATABASE_URL', 'DATABASE_DIRECT_URL', 'DATABASE_REPLICA_URLS']) {
      const faults = faultsOf({ DATABASE_URL: MAIN, [name]: value });
      expect(faults).toEqual([
        expect.stringMatching(new RegExp(`^${name} is a secret of \\d+ characters; ${expected}`)),
      ]);
      expect(faults[0]).not.toContain('hush');
    }
  });

  it.each([
    'postgres://gatehouse:a%2Fb%40c%23d%3Fe@main:5432/gatehouse?sslmode=verify-full&sslrootcert=/etc/ca.pem',
    'postgres://gatehouse:a@b,c;d e@main/gatehouse',
    'postgres://gatehouse@[::1]:5432/gatehouse',
    'postgres://localhost/gatehouse?host=/run/postgresql&user=me@here&password=p@ss/word',
    'postgresql://%2Frun%2Fpostgresql/gatehouse',
    'postgres://gatehouse:secret@main',
    'postgres://gatehouse:secret@main/gatehouse?options=-c%20jit=off',
  ])('take %s', (value) => {
    expect(databaseOf({ DATABASE_URL: value }).url).toBe(value);
  });

  it('are taken out of what doctor says, each password of a list', () => {
    const redact = redactor({ DATABASE_REPLICA_URLS: `${MAIN}, postgres://gatehouse:second-one@other/gatehouse` });
    expect(redact('hush-1 and second-one')).toBe('*** and ***');
  });
});
