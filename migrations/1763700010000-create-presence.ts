import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Who is connected where, now. Nothing of this outlives the connections, so the tables are not logged: after a crash of the database
 * they are empty, and every node fills them again.
 *
 * - `broadcast_nodes`: the processes that are alive; a lease that has run out is a dead one's, and is never renewed.
 * - `channel_audiences`: subscribers by node and channel.
 * - `presence_members`: users in presence channels, and on which nodes; a row is a presence, so that its making and its end are each one
 *   event, whatever the nodes do at the same time. Triggers announce both in the transaction that does them, whoever does it.
 *
 * Whatever a node writes, it writes under a lock of its own row: who removes a node finds everything that was the node's. Locks, in this
 * order: nodes, presences by channel and user.
 */
export class CreatePresence1763700010000 implements MigrationInterface {
  async up(db: QueryRunner): Promise<void> {
    await db.query(`
      CREATE UNLOGGED TABLE broadcast_nodes (
        id uuid CONSTRAINT "PK_broadcast_nodes" PRIMARY KEY,
        name varchar(128) NOT NULL,
        connections integer NOT NULL,
        started_at timestamptz(3) NOT NULL,
        lease_until timestamptz(3) NOT NULL
      )`);
    await db.query(`
      CREATE UNLOGGED TABLE channel_audiences (
        node_id uuid NOT NULL,
        channel varchar(128) COLLATE "C" NOT NULL,
        kind varchar(12) NOT NULL,
        subscribers integer NOT NULL,
        CONSTRAINT "PK_channel_audiences" PRIMARY KEY (channel, node_id),
        CONSTRAINT "FK_channel_audiences_node_id" FOREIGN KEY (node_id) REFERENCES broadcast_nodes (id) ON DELETE CASCADE
      )`);
    await db.query('CREATE INDEX "IX_channel_audiences_node_id" ON channel_audiences (node_id)');
    await db.query('CREATE INDEX "IX_channel_audiences_kind_channel" ON channel_audiences (kind, channel)');
    await db.query(`
      CREATE UNLOGGED TABLE presence_members (
        channel varchar(128) COLLATE "C" NOT NULL,
        user_id uuid NOT NULL,
        nodes uuid[] NOT NULL CONSTRAINT "CK_presence_members_nodes" CHECK (cardinality(nodes) > 0),
        CONSTRAINT "PK_presence_members" PRIMARY KEY (channel, user_id)
      )`);
    await this.announceChanges(db);
    await this.createFunctions(db);
  }

  private async announceChanges(db: QueryRunner): Promise<void> {
    // The rule of displayName() in src/users/dto/user.response.ts.
    await db.query(`
      CREATE FUNCTION display_name(full_name text, first_name text, last_name text) RETURNS text LANGUAGE sql STABLE AS $$
        SELECT coalesce(nullif(full_name, ''), nullif(concat_ws(' ', nullif(first_name, ''), nullif(last_name, '')), ''))
      $$`);
    await db.query(`
      CREATE FUNCTION announce_presence() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM pg_notify('gatehouse_presence', json_build_object('type', TG_ARGV[0], 'channel', c.channel, 'user', json_build_object(
          'id', c.user_id, 'username', u.username, 'full_name', display_name(u.full_name, u.first_name, u.last_name)))::text)
        FROM changed c LEFT JOIN users u ON u.id = c.user_id;
        RETURN NULL;
      END $$`);
    for (const [type, event, table] of [
      ['joined', 'INSERT', 'NEW'],
      ['left', 'DELETE', 'OLD'],
    ])
      await db.query(`
        CREATE TRIGGER "TR_presence_members_announce_${type}" AFTER ${event} ON presence_members
        REFERENCING ${table} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION announce_presence('${type}')`);
  }

  /** Each statement has a snapshot of its own, so that what is looked up after a lock is what the lock protects. */
  private async createFunctions(db: QueryRunner): Promise<void> {
    // In one statement, a row that had a second node in the snapshot and has lost it since would neither be deleted nor be updated.
    await db.query(`
      CREATE FUNCTION leave_presences(p_nodes uuid[], p_channels text[], p_users uuid[]) RETURNS void LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM set_config('synchronous_commit', 'off', true);
        PERFORM 1 FROM presence_members p JOIN unnest(p_channels, p_users) AS i (channel, user_id) USING (channel, user_id)
        WHERE p.nodes && p_nodes ORDER BY p.channel, p.user_id FOR UPDATE OF p;
        WITH remaining AS (
          UPDATE presence_members p SET nodes = ARRAY(SELECT unnest(p.nodes) EXCEPT SELECT unnest(p_nodes))
          FROM unnest(p_channels, p_users) AS i (channel, user_id)
          WHERE p.channel = i.channel AND p.user_id = i.user_id AND p.nodes && p_nodes AND NOT p.nodes <@ p_nodes)
        DELETE FROM presence_members p USING unnest(p_channels, p_users) AS i (channel, user_id)
        WHERE p.channel = i.channel AND p.user_id = i.user_id AND p.nodes <@ p_nodes;
      END $$`);
    await db.query(`
      CREATE FUNCTION remove_nodes(p_nodes uuid[]) RETURNS void LANGUAGE plpgsql AS $$
      DECLARE
        channels text[];
        users uuid[];
      BEGIN
        DELETE FROM broadcast_nodes WHERE id = ANY (p_nodes);
        SELECT array_agg(channel), array_agg(user_id) INTO channels, users FROM presence_members WHERE nodes && p_nodes;
        PERFORM leave_presences(p_nodes, channels, users);
      END $$`);
    await db.query(`
      CREATE FUNCTION remove_expired_nodes() RETURNS SETOF varchar LANGUAGE plpgsql AS $$
      DECLARE
        expired uuid[];
        names varchar[];
      BEGIN
        SELECT array_agg(id), array_agg(name) INTO expired, names FROM (
          SELECT id, name FROM broadcast_nodes WHERE lease_until <= now() ORDER BY id FOR UPDATE SKIP LOCKED) n;
        IF expired IS NOT NULL THEN
          PERFORM remove_nodes(expired);
        END IF;
        RETURN QUERY SELECT unnest(names);
      END $$`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP FUNCTION remove_expired_nodes, remove_nodes, leave_presences');
    await db.query('DROP TABLE presence_members, channel_audiences, broadcast_nodes');
    await db.query('DROP FUNCTION announce_presence, display_name');
  }
}
