import { fill } from './rows.mjs';

/** A live session for each user, as a browser has it. */
export function addSessions(client) {
  return fill(client, 'sessions', () =>
    client.query(`
      INSERT INTO sessions (id, user_id, refresh_counter, rotated_at, created_at, last_used_at, expires_at, ends_at, ip_address, user_agent)
      SELECT gen_random_uuid(), id, 3, now(), now(), now(), now() + interval '7 days', now() + interval '30 days', '203.0.113.7',
             'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
      FROM users`),
  );
}
