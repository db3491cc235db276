// Entries of the audit log by the million: what people do, and now and then an admin.
import { fill } from './rows.mjs';

const BATCH = 100_000;
const ACTIONS = ['login.succeeded', 'login.failed', 'session.ended', 'file.deleted'];

/** Every fifth entry is one actor's, and every hundredth is about one user; every ten thousandth is of another action. */
export const BUSY_ID = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
export const RARE_ACTION = 'user.role_changed';

export function addAuditEntries(client, total) {
  return fill(client, 'audit_log', async () => {
    for (let from = 1; from <= total; from += BATCH)
      await insert(client, from, Math.min(total, from + BATCH - 1), total);
  });
}

function insert(client, from, to, total) {
  return client.query(
    `
    INSERT INTO audit_log (id, created_at, actor_id, action, target_type, target_id, ip_address, user_agent, request_id, details)
    SELECT audit_id(at), date_trunc('milliseconds', at), CASE WHEN n % 5 = 0 THEN $5::uuid ELSE md5('a' || n % 5000)::uuid END,
           CASE WHEN n % 10000 = 0 THEN $6::text ELSE ($4::text[])[1 + n % $7] END, 'user',
           CASE WHEN n % 100 = 1 THEN $5::uuid::text ELSE md5('t' || n % 50000)::uuid::text END, '203.0.113.7',
           'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', gen_random_uuid()::text, '{}'
    FROM (
      SELECT n, clock_timestamp() + (n - $3) * interval '30 seconds' AS at FROM generate_series($1::int, $2::int) AS n
    ) AS moments`,
    [from, to, total, ACTIONS, BUSY_ID, RARE_ACTION, ACTIONS.length],
  );
}
