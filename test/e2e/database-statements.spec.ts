import { PreparedStatements } from '../../src/database/prepared-statements.js';
import { aSignedInUser, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

describe('prepared statements', () => {
  let app: TestApp;
  let user: SignedIn;
  let unprepared: TestDatabase;

  beforeAll(async () => {
    app = await startTestApp();
    user = await aSignedInUser(app);
    unprepared = await createTestDatabase();
  });

  afterAll(async () => {
    await app.close();
    await unprepared.drop();
  });

  /** On every lane, several times. */
  async function ask(): Promise<number[]> {
    const answers = Array.from({ length: 12 }, () => app.http.get('/api/v1/users/me').set(user.auth));
    return (await Promise.all(answers)).map(({ status }) => status);
  }

  const ALL_WELL = Array.from({ length: 12 }, () => 200);

  it('are prepared again when a migration has changed a column that the access check reads', async () => {
    expect(await ask()).toEqual(ALL_WELL);
    await app.database.pool.query('ALTER TABLE users ALTER COLUMN full_name TYPE varchar(300)');
    expect(await ask()).toEqual(ALL_WELL);
  });

  it('are prepared again when the server has forgotten them', async () => {
    const statements = new PreparedStatements(unprepared.connection);
    try {
      const numbers = { name: 'numbers', text: 'SELECT $1::int AS n' };
      const forget = { name: 'forget', text: 'DEALLOCATE ALL' };
      const some = () => Promise.all([1, 2, 3, 4].map((n) => statements.first<{ n: number }>(numbers, [n])));
      await some();
      await Promise.all([statements.first(forget, []), statements.first(forget, [])]);
      expect(await some()).toEqual([1, 2, 3, 4].map((n) => ({ n })));
    } finally {
      await statements.onApplicationShutdown();
    }
  });

  it('survive that all their connections are ended at once', async () => {
    expect(await ask()).toEqual(ALL_WELL);
    for (let round = 0; round < 3; round++) {
      const ended = app.database.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'gatehouse' AND datname = current_database() AND query LIKE '%sessions%'`,
      );
      const answers = await ask();
      await ended;
      expect(answers).toEqual(ALL_WELL);
    }
  });
});
