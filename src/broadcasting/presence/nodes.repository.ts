import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

/** A node that misses some beats has not died; one that misses all of them for so long has. */
export const LEASE_MS = 10_000;
const LEASE = `now() + interval '${LEASE_MS} milliseconds'`;

export interface Node {
  readonly id: string;
  readonly name: string;
  readonly connections: number;
  readonly startedAt: Date;
}

/** The processes that are alive. The database's clock counts, and no other. */
@Injectable()
export class NodesRepository {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  /** `null` when the node is not known (any more). A lease that has run out is renewed as long as nobody has removed the node for it. */
  async renew(id: string, connections: number): Promise<{ hasExpired: boolean } | null> {
    const [rows] = await this.database.query<[{ has_expired: boolean }[], number]>(
      `UPDATE broadcast_nodes SET connections = $2, lease_until = ${LEASE} WHERE id = $1
       RETURNING EXISTS (SELECT FROM broadcast_nodes WHERE lease_until <= now()) AS has_expired, set_config('synchronous_commit', 'off', true)`,
      [id, connections],
    );
    return rows.length > 0 ? { hasExpired: rows[0].has_expired } : null;
  }

  /** `false` while the node's last row is still being removed. */
  async register({ id, name, connections, startedAt }: Node): Promise<boolean> {
    const rows = await this.database.query<unknown[]>(
      `INSERT INTO broadcast_nodes (id, name, connections, started_at, lease_until) VALUES ($1, $2, $3, $4, ${LEASE})
       ON CONFLICT DO NOTHING RETURNING id`,
      [id, name, connections, startedAt],
    );
    return rows.length > 0;
  }

  /** With all that is theirs. Of those who find a node expired at the same time one removes it; answers with the names that were. */
  async removeExpired(): Promise<string[]> {
    const rows = await this.database.query<{ name: string }[]>('SELECT remove_expired_nodes() AS name');
    return rows.map(({ name }) => name);
  }

  /** With all that is its. */
  async remove(id: string): Promise<void> {
    await this.database.query('SELECT remove_nodes(ARRAY[$1::uuid])', [id]);
  }

  async listLive(): Promise<Node[]> {
    const rows = await this.database.query<{ id: string; name: string; connections: number; started_at: Date }[]>(
      'SELECT id, name, connections, started_at FROM broadcast_nodes WHERE lease_until > now() ORDER BY started_at, id',
    );
    return rows.map(({ started_at, ...node }) => ({ ...node, startedAt: started_at }));
  }
}
