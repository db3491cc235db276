import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Channels and their messages. A message has its place in the channel: `sequence` has no gaps, since it is taken under the lock of the
 * channel's row in the transaction that writes the message.
 *
 * - `channels.last_sequence`, `first_sequence`: what is kept. Messages before `first_sequence` are gone for readers, whether or not
 *   their rows have been removed yet; an empty channel has `first_sequence = last_sequence + 1`.
 * - `broadcast_log.epoch`: the epoch of channels that nobody has published to yet, and the one that new channels take.
 * - `channel_counts`: channels by kind, kept by triggers, for lists. Users' own channels are in no list, and are not counted, so that
 *   making one inside a feature's transaction locks nothing that others wait for.
 */
export class CreateChannels1763700008000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE broadcast_log (
        is_only boolean CONSTRAINT "PK_broadcast_log" PRIMARY KEY CONSTRAINT "CK_broadcast_log_is_only" CHECK (is_only),
        epoch uuid NOT NULL
      )`);
    await db.query('INSERT INTO broadcast_log (is_only, epoch) VALUES (true, gen_random_uuid())');
    await db.query(`
      CREATE TABLE channels (
        id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT "PK_channels" PRIMARY KEY,
        name varchar(128) COLLATE "C" NOT NULL CONSTRAINT "UQ_channels_name" UNIQUE,
        kind varchar(12) NOT NULL CONSTRAINT "CK_channels_kind" CHECK (kind IN ('plain', 'private-user', 'private-role', 'private', 'presence')),
        epoch uuid NOT NULL,
        last_sequence bigint NOT NULL DEFAULT 0,
        first_sequence bigint NOT NULL DEFAULT 1,
        publish_policy varchar(7) NOT NULL DEFAULT 'admins' CONSTRAINT "CK_channels_publish_policy" CHECK (publish_policy IN ('admins', 'members')),
        retention_seconds integer CONSTRAINT "CK_channels_retention_seconds" CHECK (retention_seconds > 0),
        retention_count integer CONSTRAINT "CK_channels_retention_count" CHECK (retention_count > 0),
        created_at timestamptz(3) NOT NULL,
        CONSTRAINT "CK_channels_sequences" CHECK (first_sequence BETWEEN 1 AND last_sequence + 1)
      ) WITH (fillfactor = 70)`);
    await db.query('CREATE INDEX "IX_channels_kind_name" ON channels (kind, name)');
    // Written once and read soon after: plain storage in the row, and no compression on the way of every publish.
    await db.query(`
      CREATE TABLE messages (
        channel_id bigint NOT NULL CONSTRAINT "FK_messages_channel_id" REFERENCES channels (id) ON DELETE CASCADE,
        sequence bigint NOT NULL,
        id uuid NOT NULL,
        event varchar(128) NOT NULL,
        data text NOT NULL,
        sender_id uuid,
        idempotency_key varchar(128),
        created_at timestamptz(3) NOT NULL,
        CONSTRAINT "PK_messages" PRIMARY KEY (channel_id, sequence)
      )`);
    await db.query(`
      CREATE UNIQUE INDEX "UQ_messages_idempotency_key" ON messages (channel_id, sender_id, idempotency_key)
      WHERE idempotency_key IS NOT NULL`);
    await db.query(`
      CREATE TABLE channel_members (
        channel_id bigint NOT NULL CONSTRAINT "FK_channel_members_channel_id" REFERENCES channels (id) ON DELETE CASCADE,
        user_id uuid NOT NULL CONSTRAINT "FK_channel_members_user_id" REFERENCES users (id) ON DELETE CASCADE,
        created_at timestamptz(3) NOT NULL,
        CONSTRAINT "PK_channel_members" PRIMARY KEY (channel_id, user_id)
      )`);
    await db.query('CREATE INDEX "IX_channel_members_user_id" ON channel_members (user_id, channel_id)');
    await this.countChannels(db);
    await this.createFunctions(db);
  }

  private async countChannels(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE TABLE channel_counts (
        kind varchar(12) CONSTRAINT "PK_channel_counts" PRIMARY KEY,
        channels bigint NOT NULL
      )`);
    await db.query(`
      INSERT INTO channel_counts (kind, channels) VALUES ('plain', 0), ('private-role', 0), ('private', 0), ('presence', 0)`);
    for (const [event, table, sign] of [
      ['INSERT', 'NEW', '+'],
      ['DELETE', 'OLD', '-'],
    ]) {
      const name = event.toLowerCase();
      await db.query(`
        CREATE FUNCTION count_channels_${name}() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
          change record;
        BEGIN
          FOR change IN SELECT kind, count(*) AS channels FROM changed WHERE kind <> 'private-user' GROUP BY kind ORDER BY kind
          LOOP
            UPDATE channel_counts SET channels = channels ${sign} change.channels WHERE kind = change.kind;
          END LOOP;
          RETURN NULL;
        END $$`);
      await db.query(`
        CREATE TRIGGER "TR_channels_count_${name}" AFTER ${event} ON channels
        REFERENCING ${table} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_channels_${name}()`);
    }
  }

  /**
   * `publish_messages()` is the one way into the log: called by the batches of publishers and inside features' transactions alike. Each
   * of its statements has a snapshot of its own, so that what is looked up after the lock is what the lock protects.
   *
   * Locks, in this order: users (of new channels of users, shared), names of new channels, channels by name.
   */
  private async createFunctions(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE FUNCTION channel_kind(name text) RETURNS varchar LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE WHEN name LIKE 'private-user.%' THEN 'private-user' WHEN name LIKE 'private-role.%' THEN 'private-role'
                    WHEN name LIKE 'private-%' THEN 'private' WHEN name LIKE 'presence-%' THEN 'presence' ELSE 'plain' END
      $$`);
    await db.query(`
      CREATE FUNCTION create_channels(names text[]) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN
        -- A user's channel goes with the user: whoever deletes the account waits until the channel is there to be deleted.
        PERFORM 1 FROM users
        WHERE id IN (SELECT substr(n, 14)::uuid FROM unnest(names) n WHERE n LIKE 'private-user.%') ORDER BY id FOR KEY SHARE;
        INSERT INTO channels (name, kind, epoch, created_at)
        SELECT DISTINCT n, channel_kind(n), l.epoch, now() FROM unnest(names) n, broadcast_log l
        WHERE n NOT LIKE 'private-user.%' OR EXISTS (SELECT 1 FROM users u WHERE u.id = substr(n, 14)::uuid)
        ORDER BY n
        ON CONFLICT (name) DO NOTHING;
      END $$`);
    await db.query(`
      CREATE FUNCTION publish_messages(p_channels text[], p_ids uuid[], p_events text[], p_data text[], p_senders uuid[], p_keys text[])
      RETURNS TABLE (ordinal integer, is_new boolean, id uuid, sequence bigint, epoch uuid, first_sequence bigint, event text, data text,
                     created_at timestamptz)
      LANGUAGE plpgsql AS $$
      #variable_conflict use_column
      DECLARE
        missing text[];
        at timestamptz;
      BEGIN
        SELECT array_agg(DISTINCT n) INTO missing FROM unnest(p_channels) n WHERE NOT EXISTS (SELECT 1 FROM channels c WHERE c.name = n);
        IF missing IS NOT NULL THEN
          PERFORM create_channels(missing);
        END IF;
        PERFORM 1 FROM channels c WHERE c.name = ANY (p_channels) ORDER BY c.name FOR NO KEY UPDATE;
        at := date_trunc('milliseconds', clock_timestamp());
        RETURN QUERY
        WITH input AS MATERIALIZED (
          SELECT i.ordinal::integer, c.id AS channel_id, c.last_sequence, c.first_sequence, c.epoch, i.id, i.event, i.data, i.sender_id, i.key,
                 m.sequence AS known_sequence
          FROM unnest(p_channels, p_ids, p_events, p_data, p_senders, p_keys) WITH ORDINALITY AS i (channel, id, event, data, sender_id, key, ordinal)
          JOIN channels c ON c.name = i.channel
          LEFT JOIN messages m ON i.key IS NOT NULL AND m.channel_id = c.id AND m.sender_id = i.sender_id AND m.idempotency_key = i.key
        ), numbered AS MATERIALIZED (
          SELECT *, last_sequence + row_number() OVER (PARTITION BY channel_id ORDER BY ordinal) AS sequence
          FROM input WHERE known_sequence IS NULL
        ), written AS (
          INSERT INTO messages (channel_id, sequence, id, event, data, sender_id, idempotency_key, created_at)
          SELECT channel_id, sequence, id, event, data, sender_id, key, at FROM numbered
        ), moved AS (
          UPDATE channels c SET last_sequence = n.last_sequence
          FROM (SELECT channel_id, max(sequence) AS last_sequence FROM numbered GROUP BY channel_id) n WHERE c.id = n.channel_id
        )
        SELECT n.ordinal, true, n.id, n.sequence, n.epoch, n.first_sequence, NULL::text, NULL::text, at FROM numbered n
        UNION ALL
        SELECT i.ordinal, false, m.id, m.sequence, i.epoch, i.first_sequence, m.event::text, m.data, m.created_at
        FROM input i JOIN messages m ON m.channel_id = i.channel_id AND m.sequence = i.known_sequence;
      END $$`);
    await db.query(`
      CREATE FUNCTION delete_user_channel() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        DELETE FROM channels WHERE name IN (SELECT 'private-user.' || id FROM removed);
        RETURN NULL;
      END $$`);
    await db.query(`
      CREATE TRIGGER "TR_users_delete_channel" AFTER DELETE ON users
      REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION delete_user_channel()`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TRIGGER "TR_users_delete_channel" ON users');
    await db.query('DROP FUNCTION delete_user_channel, publish_messages, create_channels');
    for (const table of ['channel_members', 'messages', 'channels', 'channel_counts', 'broadcast_log'])
      await db.query(`DROP TABLE ${table}`);
    await db.query('DROP FUNCTION count_channels_insert, count_channels_delete, channel_kind');
  }
}
