import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { AuditEntry } from './audit-entry.js';

export type { AuditEntry } from './audit-entry.js';

const PAGE = 500;
const COLUMNS = `id, created_at AS "createdAt", actor_id AS "actorId", action, target_type AS "targetType", target_id AS "targetId",
  details`;
const ORIGIN = `ip_address AS "ipAddress", user_agent AS "userAgent", request_id AS "requestId"`;
/** Where somebody else was when they did it is theirs. */
const OTHERS_ORIGIN = ['ip_address', 'user_agent', 'request_id']
  .map((column) => `CASE WHEN actor_id IS NULL THEN ${column} END`)
  .join(', ');

/** What the audit log has of one user. */
@Injectable()
export class AuditHistoryService {
  constructor(@InjectDataSource() private readonly database: DataSource) {}

  /** What the user did, and what was done to the user's account; from the oldest entry on. A page is all that is kept in memory. */
  async *entriesOf(userId: string): AsyncGenerator<AuditEntry> {
    for (let last = '00000000-0000-0000-0000-000000000000'; ;) {
      const page = await this.page(userId, last);
      yield* page;
      if (page.length < PAGE) return;
      last = page[PAGE - 1].id;
    }
  }

  /** Each half is a walk along an index of its own. */
  private page(userId: string, last: string): Promise<AuditEntry[]> {
    return this.database.query<AuditEntry[]>(
      `SELECT * FROM (
         (SELECT ${COLUMNS}, ${ORIGIN} FROM audit_log WHERE actor_id = $1 AND id > $2 ORDER BY id LIMIT $3)
         UNION ALL
         (SELECT ${COLUMNS}, ${OTHERS_ORIGIN} FROM audit_log
          WHERE target_id = $4 AND actor_id IS DISTINCT FROM $1 AND id > $2 ORDER BY id LIMIT $3)) entries
       ORDER BY id LIMIT $3`,
      [userId, last, PAGE, userId],
    );
  }
}
