import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { aSignedInUser, anAdmin, aUser, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { until } from '../support/uploads.js';

/** Requests that were let in, and then had to wait for the very change that ends what they were let in by. */
describe('what is asked for on the strength of something that ends meanwhile', () => {
  let app: TestApp;
  let user: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
  });
  beforeEach(async () => {
    user = await aSignedInUser(app);
  });
  afterAll(() => app.close());

  /** Sends the request into a lock, makes the change, and lets the request go on. */
  const meanwhile = async (
    lock: string,
    send: () => PromiseLike<{ status: number; body: { error_code?: string } }>,
    change: (db: pg.PoolClient) => Promise<unknown>,
  ) => {
    const db = await app.pool.connect();
    try {
      await db.query('BEGIN');
      await db.query(lock);
      const answer = Promise.resolve(send());
      await until(async () => {
        const { rows } = await app.pool.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return rows.length > 0;
      }, 'the request waits');
      await change(db);
      await db.query('COMMIT');
      const { status, body } = await answer;
      return [status, body.error_code];
    } finally {
      db.release();
    }
  };
  const lockOf = ({ id }: { id: string }) => `SELECT FROM users WHERE id = '${id}' FOR UPDATE`;
  const endSessions = (db: pg.PoolClient) => db.query('DELETE FROM sessions WHERE user_id = $1', [user.id]);
  const post = (path: string, body: object) => () => app.http.post(`/api/v1${path}`).set(user.auth).send(body);
  const patch = (path: string, body: object, { auth } = user) => app.http.patch(`/api/v1${path}`).set(auth).send(body);

  it('S20 S25 S28 makes no API key', async () => {
    const send = post('/users/me/api-keys', { name: 'x' });
    expect(await meanwhile(lockOf(user), send, endSessions)).toEqual([401, 'invalid_token']);
    expect((await app.pool.query('SELECT FROM api_keys WHERE user_id = $1', [user.id])).rows).toEqual([]);
  });

  it('S19 S20 changes no address', async () => {
    const email = `${randomUUID()}@example.com`;
    const send = () => patch('/users/me', { email });
    expect(await meanwhile(lockOf(user), send, endSessions)).toEqual([401, 'invalid_token']);
    const { rows } = await app.pool.query('SELECT email FROM users WHERE id = $1', [user.id]);
    expect(rows).toEqual([{ email: user.email }]);
  });

  it('S25 does nothing by a key that is revoked', async () => {
    const { body: key } = await post('/users/me/api-keys', { name: 'x' })().expect(201);
    const send = () => app.http.patch('/api/v1/users/me').set('X-API-Key', key.key).send({ bio: 'x' });
    const revoke = (db: pg.PoolClient) => db.query('UPDATE api_keys SET revoked_at = now() WHERE id = $1', [key.id]);
    expect(await meanwhile(lockOf(user), send, revoke)).toEqual([401, 'invalid_token']);
  });

  it.each([
    ['demoted', `role = 'user'`, [403, 'forbidden']],
    ['disabled', 'is_active = false', [401, 'invalid_token']],
  ])('S32 lets an admin who is %s make no other admin', async (_what, change, refusal) => {
    const [admin, accomplice] = [await anAdmin(app), await aUser(app)];
    const send = () => patch(`/admin/users/${accomplice.id}`, { role: 'admin' }, admin);
    const lose = (db: pg.PoolClient) => db.query(`UPDATE users SET ${change} WHERE id = $1`, [admin.id]);
    expect(await meanwhile(lockOf(accomplice), send, lose)).toEqual(refusal);
    const { rows } = await app.pool.query('SELECT role FROM users WHERE id = $1', [accomplice.id]);
    expect(rows).toEqual([{ role: 'user' }]);
  });

  it('S25 deletes nobody', async () => {
    const [admin, other] = [await anAdmin(app), await aUser(app)];
    const send = () => app.http.delete(`/api/v1/users/${other.id}`).set(admin.auth);
    const lose = (db: pg.PoolClient) => db.query(`UPDATE users SET role = 'user' WHERE id = $1`, [admin.id]);
    // Whoever changes how many admins there are holds this.
    expect(await meanwhile('SELECT pg_advisory_xact_lock(7238145002)', send, lose)).toEqual([403, 'forbidden']);
    expect((await app.pool.query('SELECT FROM users WHERE id = $1', [other.id])).rows).toHaveLength(1);
  });
});
