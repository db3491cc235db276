// Files by the million, as rows: names that people give, and the types that they upload.
import { fill } from './rows.mjs';

const BATCH = 100_000;
const WORDS = `budget contract draft export figure garden holiday invoice kitchen letter meeting notes offer photo plan
  receipt scan screenshot sketch summary survey ticket timetable translation visit wedding winter workshop`.split(
  /\s+/,
);
/** Two fifths, three tenths, three twentieths and a tenth; the last twentieth is shared by the others. */
const TYPES = ['image/png', 'image/jpeg', 'application/pdf', 'text/plain'];
const RARE_TYPES = ['application/zip', 'application/json', 'image/gif', 'text/csv', 'image/webp'];
const EXTENSIONS = ['png', 'jpg', 'pdf', 'txt'];
const RARE_EXTENSIONS = ['zip', 'json', 'gif', 'csv', 'webp'];
const RARE_DESCRIPTION = 'The house in Xochimilco, seen from the water';

/** In the description of one file, in every twentieth name, and at the beginning of every tenth. */
export const TERMS = { rare: 'xochimilco', common: 'report', prefix: 'qu' };
export const COMMON_TYPE = TYPES[0];
export const RARE_TYPE = RARE_TYPES[1];

/**
 * Gives users, by id, so many files each: rows without bytes, through the product's triggers; identifiers rise with the time of creation, as
 * the product's do.
 */
export function addFiles(client, totals) {
  return fill(client, 'uploads', async () => {
    for (const [owner, total] of totals) {
      for (let from = 1; from <= total; from += BATCH)
        await insert(client, owner, from, Math.min(total, from + BATCH - 1), total);
      await client.query(
        `UPDATE uploads SET description = $1
         WHERE id = (SELECT id FROM uploads WHERE owner_id = $2 ORDER BY id OFFSET $3 LIMIT 1)`,
        [RARE_DESCRIPTION, owner, Math.floor(total / 2)],
      );
    }
  });
}

function insert(client, owner, from, to, total) {
  return client.query(
    `
    INSERT INTO uploads (id, owner_id, state, filename, original_filename, content_type, file_size, sha256, description,
                         upload_date, updated_at, is_resumable, received_bytes)
    SELECT uuidv7(shift), $1::uuid, 'ready', name || '.' || extension, name || '.' || extension, type, size,
           sha256(convert_to($1::uuid::text || n, 'UTF8')),
           CASE WHEN n % 3 = 0 THEN 'From the ' || second || ', ' || n || ' of them; kept for later' END,
           now() + shift, now() + shift, false, size
    FROM (
      SELECT n, second, (n - $4) * interval '30 seconds' AS shift,
             CASE WHEN n % 20 = 0 THEN 'Report ' WHEN n % 10 = 3 THEN 'Quarterly ' ELSE '' END ||
               first || CASE WHEN n % 2 = 0 THEN ' ' ELSE '_' END || n AS name,
             coalesce(($6::text[])[kind], ($8::text[])[1 + n % 5]) AS type,
             coalesce(($7::text[])[kind], ($9::text[])[1 + n % 5]) AS extension,
             size
      FROM (
        SELECT n, ($5::text[])[1 + floor(power(random(), 1.5) * $10)] AS first, ($5::text[])[1 + floor(random() * $10)] AS second,
               1 + width_bucket(random(), ARRAY[0.4, 0.7, 0.85, 0.95]) AS kind, floor(1000 * exp(random() * 8)) AS size
        FROM generate_series($2::int, $3::int) AS n
      ) AS drawn
    ) AS files`,
    [owner, from, to, total, WORDS, TYPES, EXTENSIONS, RARE_TYPES, RARE_EXTENSIONS, WORDS.length],
  );
}
