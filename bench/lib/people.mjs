// Users by the million, with names that people have: a few are common, most are not.
import { fill } from './rows.mjs';

const FIRST_NAMES = `Mary John Maria Joseph Anna Michael Elena Joan Robert Jose Linda Peter Sofia Paul Emma Ahmed Olga
  Daniel Laura Mohamed Wei Julia Ivan Grace Omar Alice Lars Fatima Hugo Nora Kenji Clara Yusuf Ingrid Pavel Chiara Tomás
  Zoë Andrei Leila Björn Priya Mateo Amara Viktor Yuki Stefan Aisha Georg Noémie`.split(/\s+/);
const LAST_NAMES =
  `Smith Müller Garcia Wang Johnson Nguyen Kim Silva Ivanov Brown Rossi Martin Jones Khan Kowalski Lopez
  Williams Tanaka Hansen Novak Fernandez Davis Ali Schmidt Dubois Sato Petrov Lee Costa Wilson Andersson Popescu Moore
  Yamamoto Horvat Taylor Haddad Jansen Thomas Okafor Nagy Clark Mensah Virtanen Walker Svensson Papadopoulos Hall Diaz
  Young Bianchi Kaya Wright Eriksen Torres Scott Fischer Mbeki Green Hernandez Weber Adams Moreau Nakamura Baker Olsen
  Murphy Suzuki Carter Wójcik Evans Reyes Turner Lindqvist Phillips Sokolov Campbell Nieminen Parker Rahman Edwards
  Kovács Collins Ferrari Stewart Dvořák Morris Achterberg Rogers Castillo Reed Bergström Cook Ortega Morgan Vasquez Bell
  Lindholm Murray Zielinski`.split(/\s+/);

const BATCH = 100_000;
const RARE_NAME = 'Quetzalli Xochimilco';

/**
 * What is searched for: in one user, in every twentieth, in the newest fiftieth alone (whoever goes through the list from its
 * beginning until there are enough meets all the others first), and at the beginning of about every tenth username.
 */
export const TERMS = { rare: 'xochimilco', common: 'smith', newest: 'zebrafish', prefix: 'jo' };

/** Fills the product's own table up to `total` rows, through its triggers; identifiers rise with the time of creation, as the product's do. */
export function addPeople(client, total) {
  return fill(client, 'users', async () => {
    const { rows } = await client.query('SELECT count(*)::int AS present FROM users');
    for (let from = rows[0].present + 1; from <= total; from += BATCH)
      await insert(client, from, Math.min(total, from + BATCH - 1), total);
    await client.query(
      `UPDATE users SET full_name = $1 WHERE id = (SELECT id FROM users ORDER BY id OFFSET $2 LIMIT 1)`,
      [RARE_NAME, Math.floor(total / 2)],
    );
  });
}

function insert(client, from, to, total) {
  return client.query(
    `
    INSERT INTO users (id, email, username, full_name, first_name, last_name, bio, role, is_active, is_verified,
                       password_hash, last_login, created_at, updated_at)
    SELECT uuidv7(shift), lower(handle) || '.' || n || '@example.' || (ARRAY['com', 'org', 'net'])[1 + n % 3],
           lower(handle) || n,
           CASE WHEN n > $3 * 0.98 THEN 'Team Zebrafish ' || n WHEN n % 4 > 0 THEN first || ' ' || last END, first, last,
           CASE WHEN n % 5 = 0 THEN repeat('Likes long walks and short functions. ', 3) END, 'user', n % 50 > 0,
           n % 3 > 0, $5, now() + shift, now() + shift, now() + shift
    FROM (
      SELECT n, first, last, (n - $3) * interval '30 seconds' AS shift,
             regexp_replace(normalize(first || '_' || last, NFD), '[^a-zA-Z_]', '', 'g') AS handle
      FROM (
        SELECT n, ($4::text[])[1 + floor(power(random(), 1.5) * $6)] AS first,
               ($7::text[])[1 + floor(power(random(), 1.5) * $8)] AS last
        FROM generate_series($1::int, $2::int) AS n
      ) AS drawn
    ) AS people`,
    [from, to, total, FIRST_NAMES, `$2b$12$${'.'.repeat(53)}`, FIRST_NAMES.length, LAST_NAMES, LAST_NAMES.length],
  );
}
