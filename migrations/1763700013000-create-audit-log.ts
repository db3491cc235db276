import type { MigrationInterface, QueryRunner } from 'typeorm';

/** An arbitrary number, for the locks of shards alone. */
const SHARD_LOCKS = 723_814_504;
const SHARDS = 64;

/**
 * What happened, by whom, to what. Entries outlive what they speak of, so there are no foreign keys.
 *
 * - The id is a UUIDv7 of the database's clock, down to the microsecond: it is the one order of the log, and the bounds of a time are ids.
 * - Rows are only ever added: an UPDATE, a TRUNCATE, and any DELETE but that of `sweep_audit_log()` is refused.
 * - Every filter has an index in the order of ids that answers without the table.
 * - `audit_counts` keeps how many entries there are of each action. Each transaction counts in a shard that no other uses at that
 *   moment (`free_shard()`): nobody waits, and so nobody waits for each other. A shard alone may be negative; only sums mean something.
 */
export class CreateAuditLog1763700013000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE audit_log (
        id uuid CONSTRAINT "PK_audit_log" PRIMARY KEY,
        created_at timestamptz(3) NOT NULL,
        actor_id uuid,
        action varchar(48) NOT NULL,
        target_type varchar(16),
        target_id varchar(128),
        ip_address varchar(45),
        user_agent varchar(512),
        request_id varchar(128),
        details jsonb NOT NULL
      ) WITH (autovacuum_vacuum_insert_scale_factor = 0.02)`);
    await db.query('CREATE INDEX "IX_audit_log_actor" ON audit_log (actor_id, id) INCLUDE (action)');
    await db.query('CREATE INDEX "IX_audit_log_action" ON audit_log (action, id) INCLUDE (actor_id)');
    await db.query('CREATE INDEX "IX_audit_log_target" ON audit_log (target_id, id) INCLUDE (action, actor_id)');
    await this.orderById(db);
    await this.refuseChanges(db);
    await this.count(db);
  }

  /** The twelve bits behind the version hold the microseconds (RFC 9562, section 6.2, method 3), the rest is random. */
  private async orderById(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE FUNCTION audit_id(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
        SELECT (lpad(to_hex(us / 1000), 12, '0') || '7' || lpad(to_hex(us % 1000 * 4096 / 1000), 3, '0')
                || substr(replace(gen_random_uuid()::text, '-', ''), 17))::uuid
        FROM (SELECT (extract(epoch FROM at) * 1000000)::bigint AS us) t
      $$`);
  }

  private async refuseChanges(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF TG_OP = 'DELETE' AND current_setting('gatehouse.sweeps_audit_log', true) = 'on' THEN RETURN NULL; END IF;
        RAISE EXCEPTION 'the audit log is only added to: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_audit_log_refuse_change" BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()`);
    await db.query(`
      CREATE FUNCTION sweep_audit_log(keep interval, batch integer) RETURNS integer LANGUAGE plpgsql AS $$
      DECLARE
        -- A variable, so that the index is asked.
        first_kept uuid;
        removed integer;
      BEGIN
        IF keep IS NULL OR keep < interval '1 day' THEN
          RAISE EXCEPTION 'the audit log is kept for a day at least' USING ERRCODE = 'insufficient_privilege';
        END IF;
        first_kept := audit_id(now() - keep);
        PERFORM set_config('gatehouse.sweeps_audit_log', 'on', true);
        DELETE FROM audit_log WHERE id IN (
          SELECT id FROM audit_log WHERE id < first_kept ORDER BY id LIMIT batch FOR UPDATE SKIP LOCKED);
        GET DIAGNOSTICS removed = ROW_COUNT;
        PERFORM set_config('gatehouse.sweeps_audit_log', 'off', true);
        RETURN removed;
      END $$`);
  }

  private async count(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE FUNCTION free_shard() RETURNS smallint LANGUAGE plpgsql AS $$
      BEGIN
        FOR shard IN 0..${SHARDS - 1} LOOP
          IF pg_try_advisory_xact_lock(${SHARD_LOCKS}, shard) THEN RETURN shard; END IF;
        END LOOP;
        -- So many at once share what is left.
        RETURN ${SHARDS} + pg_backend_pid() % ${SHARDS};
      END $$`);
    await db.query(`
      CREATE TABLE audit_counts (
        action varchar(48),
        shard smallint,
        entries bigint NOT NULL,
        CONSTRAINT "PK_audit_counts" PRIMARY KEY (action, shard)
      ) WITH (fillfactor = 50)`);
    for (const [event, tables, rows, sign] of [
      ['insert', 'NEW TABLE AS added', 'added', ''],
      ['delete', 'OLD TABLE AS removed', 'removed', '-'],
    ]) {
      await db.query(`
        CREATE FUNCTION count_audit_${event}() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
          own_shard constant smallint := free_shard();
        BEGIN
          INSERT INTO audit_counts AS c (action, shard, entries)
          SELECT action, own_shard, ${sign}count(*) FROM ${rows} GROUP BY action ORDER BY action
          ON CONFLICT (action, shard) DO UPDATE SET entries = c.entries + excluded.entries;
          RETURN NULL;
        END $$`);
      await db.query(`
        CREATE TRIGGER "TR_audit_log_count_${event}" AFTER ${event.toUpperCase()} ON audit_log
        REFERENCING ${tables} FOR EACH STATEMENT EXECUTE FUNCTION count_audit_${event}()`);
    }
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE audit_log, audit_counts');
    await db.query(`
      DROP FUNCTION count_audit_insert, count_audit_delete, free_shard, sweep_audit_log(interval, integer), refuse_audit_change,
                    audit_id(timestamptz)`);
  }
}
