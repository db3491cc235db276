import { randomUUID } from 'node:crypto';
import { DataSource, type EntityManager } from 'typeorm';
import { AuditSweeper } from '../../src/audit/audit-sweeper.js';
import { AUDIT_ACTIONS, type AuditAction, AuditEvent, type AuditFacts } from '../../src/common/events/audit-event.js';
import { DomainEvents } from '../../src/common/events/domain-events.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const SWEEPING = { AUDIT_RETENTION_DAYS: '30' };

describe('the audit log', () => {
  let app: TestApp;
  let database: DataSource;
  let events: DomainEvents;

  beforeAll(async () => {
    app = await startTestApp(SWEEPING);
    database = app.app.get(DataSource);
    events = app.app.get(DomainEvents);
  });
  afterEach(() => expectExactCounts());
  afterAll(() => app.close());

  const anEvent = (action: AuditAction = 'login.succeeded', facts: Partial<AuditFacts> = {}) =>
    new AuditEvent(action, {
      actorId: randomUUID(),
      origin: { ipAddress: '2001:db8::1', userAgent: 'a browser', requestId: 'a request' },
      targetType: 'user',
      targetId: randomUUID(),
      ...facts,
    });
  const record = (...recorded: AuditEvent[]) =>
    database.transaction(async (tx) => {
      for (const event of recorded) await events.record(tx, event);
    });
  const rows = async (): Promise<any[]> => (await app.pool.query('SELECT * FROM audit_log ORDER BY id')).rows;
  const entriesOf = async ({ facts }: AuditEvent) =>
    (await rows()).filter(({ target_id }) => target_id === facts.targetId);

  async function expectExactCounts(): Promise<void> {
    const { rows: kept } = await app.pool.query(
      'SELECT action, sum(entries)::int AS entries FROM audit_counts GROUP BY action HAVING sum(entries) <> 0 ORDER BY action',
    );
    const { rows: counted } = await app.pool.query(
      'SELECT action, count(*)::int AS entries FROM audit_log GROUP BY action ORDER BY action',
    );
    expect(kept).toEqual(counted);
  }

  /** As if it had been written so long ago. */
  const age = (interval: string, action = 'login.failed') =>
    app.pool.query(
      `INSERT INTO audit_log (id, created_at, action, details)
       SELECT audit_id(at), date_trunc('milliseconds', at), $2, '{}' FROM (SELECT clock_timestamp() - $1::interval AS at) t`,
      [interval, action],
    );

  describe('writing', () => {
    it('keeps what there is to know', async () => {
      const event = anEvent('user.role_changed', {
        details: { from: 'user', to: 'admin', deep: { 'a"b': [1, null] } },
      });
      const { rows: clock } = await app.pool.query('SELECT clock_timestamp() AS now');
      await record(event);
      const [row] = await entriesOf(event);
      expect(row).toEqual({
        id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
        created_at: expect.any(Date),
        actor_id: event.facts.actorId,
        action: 'user.role_changed',
        target_type: 'user',
        target_id: event.facts.targetId,
        ip_address: '2001:db8::1',
        user_agent: 'a browser',
        request_id: 'a request',
        details: { from: 'user', to: 'admin', deep: { 'a"b': [1, null] } },
      });
      // The id and the time are of one moment, by the database's clock.
      expect(parseInt(row.id.replace('-', '').slice(0, 12), 16)).toBe(row.created_at.getTime());
      expect(row.created_at.getTime()).toBeGreaterThanOrEqual(Math.floor(clock[0].now.getTime()));
    });

    it('keeps what is not known as nothing', async () => {
      const targetId = randomUUID();
      const origin = { ipAddress: null, userAgent: null, requestId: null };
      const event = anEvent('user.created', { actorId: null, origin, targetType: null, targetId });
      await record(event, anEvent('login.failed', { actorId: null, origin, targetType: null, targetId: null }));
      expect(await entriesOf(event)).toMatchObject([
        { actor_id: null, target_type: null, ip_address: null, user_agent: null, request_id: null, details: {} },
      ]);
      expect((await rows()).at(-1)).toMatchObject({ action: 'login.failed', target_id: null });
    });

    it('cuts what is longer than it may be', async () => {
      const origin = { ipAddress: '::1', userAgent: 'ü'.repeat(1000), requestId: 'r'.repeat(128) };
      const event = anEvent('channel.member_added', { targetType: 'channel', targetId: 'c'.repeat(128), origin });
      await record(event);
      expect(await entriesOf(event)).toMatchObject([{ user_agent: 'ü'.repeat(512), request_id: 'r'.repeat(128) }]);
    });

    it('keeps the order in which a transaction writes, and takes every action', async () => {
      const targetId = randomUUID();
      const recorded = AUDIT_ACTIONS.map((action) => anEvent(action, { targetId }));
      await record(...recorded);
      expect((await entriesOf(recorded[0])).map(({ action }) => action)).toEqual(AUDIT_ACTIONS);
    });

    it.each<[string, (tx: EntityManager) => Promise<unknown>]>([
      ['the change fails afterwards', () => Promise.reject(new Error('on purpose'))],
      ['a query of the change fails afterwards', (tx) => tx.query('SELECT 1 / 0')],
    ])('writes nothing when %s', async (_what, fail) => {
      const event = anEvent();
      const change = database.transaction(async (tx) => {
        await events.record(tx, event);
        await fail(tx);
      });
      await expect(change).rejects.toThrow();
      expect(await entriesOf(event)).toEqual([]);
    });

    it('makes the change fail when it cannot be written', async () => {
      await app.pool.query('CREATE TABLE changes (n int)');
      const change = database.transaction(async (tx) => {
        await tx.query('INSERT INTO changes VALUES (1)');
        await events.record(
          tx,
          anEvent('a word that is far too long for the column that holds the action' as AuditAction),
        );
      });
      await expect(change).rejects.toThrow(/too long/);
      expect((await app.pool.query('SELECT FROM changes')).rowCount).toBe(0);
    });

    it('waits for nobody, and makes nobody wait', async () => {
      const [one, other] = [await app.pool.connect(), await app.pool.connect()];
      try {
        for (const [client, actions] of [
          [one, ['login.failed', 'login.succeeded']],
          [other, ['login.succeeded', 'login.failed']],
        ] as const) {
          await client.query('BEGIN');
          // Whoever waited for a lock would get an error instead.
          await client.query(`SET LOCAL lock_timeout = '1ms'`);
          for (const action of actions)
            await client.query(
              `INSERT INTO audit_log (id, created_at, action, details) VALUES (audit_id(now()), now(), $1, '{}')`,
              [action],
            );
        }
        await one.query('COMMIT');
        await other.query('COMMIT');
      } finally {
        one.release();
        other.release();
      }
    });

    it('counts exactly what many write at once, in any order', async () => {
      const before = (await rows()).length;
      const write = async (i: number) => {
        const recorded = [0, 1, 2].map((n) => anEvent(AUDIT_ACTIONS[(i * (n + 1)) % AUDIT_ACTIONS.length]));
        if (i % 5 > 0) return record(...recorded);
        const undone = database.transaction(async (tx) => {
          for (const event of recorded) await events.record(tx, event);
          throw new Error('on purpose');
        });
        return expect(undone).rejects.toThrow('on purpose');
      };
      await Promise.all(Array.from({ length: 100 }, (_, i) => write(i)));
      expect((await rows()).length - before).toBe(80 * 3);
    });
  });

  describe('what is written', () => {
    beforeAll(async () => {
      await record(anEvent());
      await age('400 days');
    });

    it.each([
      `UPDATE audit_log SET action = 'login.failed'`,
      'UPDATE audit_log SET details = details WHERE false',
      'DELETE FROM audit_log',
      `DELETE FROM audit_log WHERE created_at < now() - interval '399 days'`,
      'TRUNCATE audit_log',
      'TRUNCATE audit_log CASCADE',
      `INSERT INTO audit_log SELECT * FROM audit_log LIMIT 1 ON CONFLICT (id) DO UPDATE SET action = 'x'`,
      `MERGE INTO audit_log a USING (SELECT 1) one ON true WHEN MATCHED THEN DELETE`,
    ])('is not changed by %s', async (sql) => {
      const before = await rows();
      await expect(app.pool.query(sql)).rejects.toMatchObject({ code: '42501' });
      expect(await rows()).toEqual(before);
    });

    it('is not swept before a day is over, whatever is asked for', async () => {
      const before = await rows();
      for (const keep of [`interval '0'`, `interval '23 hours 59 minutes'`, `interval '-5 days'`, 'NULL'])
        await expect(app.pool.query(`SELECT sweep_audit_log(${keep}, 1000)`)).rejects.toMatchObject({ code: '42501' });
      expect(await rows()).toEqual(before);
    });

    it('cannot be deleted after a sweep in the same transaction either', async () => {
      const client = await app.pool.connect();
      try {
        await client.query('BEGIN');
        await client.query(`SELECT sweep_audit_log(interval '10000 days', 10)`);
        await expect(client.query('DELETE FROM audit_log')).rejects.toMatchObject({ code: '42501' });
        await client.query('ROLLBACK');
      } finally {
        client.release();
      }
    });
  });

  describe('sweeping', () => {
    const ages = async () =>
      (
        await app.pool.query<{ days: number }>(
          `SELECT round(extract(epoch FROM now() - created_at) / 86400)::int AS days FROM audit_log
           WHERE created_at < now() - interval '1 day' ORDER BY id`,
        )
      ).rows.map(({ days }) => days);

    it('removes what is older than it is to be kept, and nothing else', async () => {
      await app.app.get(AuditSweeper).sweep();
      const others = (await rows()).length;
      for (const days of [31, 400, 29, 2, 30.5]) await age(`${days * 24} hours`, 'user.deleted');
      expect(await app.app.get(AuditSweeper).sweep()).toBe(3);
      expect(await ages()).toEqual([29, 2]);
      expect((await rows()).length).toBe(others + 2);
      expect(await app.app.get(AuditSweeper).sweep()).toBe(0);
    });

    it('goes on until all is removed, and passes over what another node is removing', async () => {
      await app.pool.query(
        `INSERT INTO audit_log (id, created_at, action, details)
         SELECT audit_id(at), at, 'login.failed', '{}' FROM (SELECT now() - interval '50 days' - n * interval '1 second' AS at
                                                            FROM generate_series(1, 2500) n) t`,
      );
      const client = await app.pool.connect();
      try {
        await client.query('BEGIN');
        await client.query(`SELECT sweep_audit_log(interval '30 days', 300)`);
        expect(await app.app.get(AuditSweeper).sweep()).toBe(2200);
        await client.query('COMMIT');
      } finally {
        client.release();
      }
      expect(await ages()).toEqual([29, 2]);
    });

    it('says so when it cannot, and goes on living', async () => {
      await app.pool.query('ALTER FUNCTION sweep_audit_log RENAME TO away');
      await age('99 days');
      expect(await app.app.get(AuditSweeper).sweep()).toBe(0);
      expect(app.log.some((line) => line.includes('Old audit entries could not be removed'))).toBe(true);
      await app.pool.query('ALTER FUNCTION away RENAME TO sweep_audit_log');
      expect(await app.app.get(AuditSweeper).sweep()).toBe(1);
    });
  });
});
