import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource, type EntityManager } from 'typeorm';
import type { AuditEvent } from '../common/events/audit-event.js';
import type { PageWindow } from '../common/http/page.js';
import { ListReader } from '../database/replicas/list-reader.js';
import type { AuditEntry, AuditFilter } from './audit-entry.js';

const USER_AGENT_MAX = 512;
const ID_MAX = 128;

/** Twelve hexadecimal digits of milliseconds: what a UUIDv7 begins with. */
const TIME_DIGITS = 12;
const TIME_MAX = 16 ** TIME_DIGITS - 1;

/** Rows are added and read, never changed: the database refuses it (`migrations/…-create-audit-log`). */
@Injectable()
export class AuditLogRepository {
  constructor(
    @InjectDataSource() private readonly database: DataSource,
    private readonly lists: ListReader,
  ) {}

  /** The id and the time are of the database's clock, and of the same moment. */
  async insert(tx: EntityManager, { action, facts }: AuditEvent): Promise<void> {
    const { actorId, targetType, targetId, origin, details } = facts;
    await tx.query(
      `INSERT INTO audit_log (id, created_at, actor_id, action, target_type, target_id, ip_address, user_agent, request_id, details)
       SELECT audit_id(at), date_trunc('milliseconds', at), $1, $2, $3, $4, $5, $6, $7, $8 FROM (SELECT clock_timestamp() AS at) clock`,
      [
        actorId,
        action,
        targetType,
        targetId?.slice(0, ID_MAX),
        origin.ipAddress,
        origin.userAgent?.slice(0, USER_AGENT_MAX),
        origin.requestId,
        JSON.stringify(details ?? {}),
      ],
    );
  }

  /** The newest first. A page is found in an index alone, however deep it lies. */
  list(filter: AuditFilter, window: PageWindow): Promise<{ entries: AuditEntry[]; total: number }> {
    return this.lists.read((source) => listIn(source, filter, window));
  }

  /** At most `count` of the entries that are older. Returns how many. */
  async removeOlderThan(days: number, count: number): Promise<number> {
    const [{ removed }] = await this.database.query<{ removed: number }[]>(
      'SELECT sweep_audit_log(make_interval(days => $1), $2) AS removed',
      [days, count],
    );
    return removed;
  }
}

async function listIn(
  source: EntityManager,
  filter: AuditFilter,
  { skip, limit }: PageWindow,
): Promise<{ entries: AuditEntry[]; total: number }> {
  const { conditions, values } = conditionsOf(filter);
  const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
  const [{ ids, total }] = await source.query<{ ids: string[]; total: string | null }[]>(
    `SELECT (${totalOf(filter, where)}) AS total,
            ARRAY(SELECT id FROM audit_log ${where} ORDER BY id DESC OFFSET $${values.length + 1} LIMIT $${values.length + 2}) AS ids`,
    [...values, skip, limit],
  );
  const rows = await source.query<AuditRow[]>(
    `SELECT id, created_at, actor_id, action, target_type, target_id, ip_address, user_agent, request_id, details
     FROM audit_log WHERE id = ANY($1) ORDER BY id DESC`,
    [ids],
  );
  return { entries: rows.map(toEntry), total: Number(total) };
}

function conditionsOf({ actorId, action, targetId, from, to }: AuditFilter) {
  const given: [condition: string, value: string | undefined][] = [
    ['actor_id =', actorId],
    ['action =', action],
    ['target_id =', targetId],
    ['id >=', from && firstIdOf(from)],
    ['id <', to && firstIdOf(to)],
  ];
  const used = given.filter(([, value]) => value !== undefined);
  return {
    conditions: used.map(([condition], i) => `${condition} $${i + 1}`),
    values: used.map(([, value]) => value),
  };
}

/** How many there are of an action, or at all, is kept by the database; everything else is counted along its index. */
function totalOf({ actorId, action, targetId, from, to }: AuditFilter, where: string): string {
  const isKept = [actorId, targetId, from, to].every((value) => value === undefined);
  if (!isKept) return `SELECT count(*) FROM audit_log ${where}`;
  return `SELECT sum(entries) FROM audit_counts ${action === undefined ? '' : where}`;
}

/** The ids begin with the time in milliseconds, so a moment is a place in their order. */
function firstIdOf(time: Date): string {
  const digits = Math.min(Math.max(time.getTime(), 0), TIME_MAX).toString(16).padStart(TIME_DIGITS, '0');
  return `${digits.slice(0, 8)}-${digits.slice(8)}-0000-0000-000000000000`;
}

interface AuditRow {
  id: string;
  created_at: Date;
  actor_id: string | null;
  action: AuditEntry['action'];
  target_type: AuditEntry['targetType'];
  target_id: string | null;
  ip_address: string | null;
  user_agent: string | null;
  request_id: string | null;
  details: Record<string, unknown>;
}

const toEntry = (row: AuditRow): AuditEntry => ({
  id: row.id,
  createdAt: row.created_at,
  actorId: row.actor_id,
  action: row.action,
  targetType: row.target_type,
  targetId: row.target_id,
  ipAddress: row.ip_address,
  userAgent: row.user_agent,
  requestId: row.request_id,
  details: row.details,
});
