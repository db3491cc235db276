/** What tables take of the disk, now: their rows, what does not fit into these, and each index. */
export async function tableSizes(client, tables) {
  const sizes = [];
  for (const table of tables) {
    const { rows } = await client.query(
      `SELECT (SELECT count(*)::int FROM ${client.escapeIdentifier(table)}) AS rows,
              pg_table_size($1::regclass)::float8 AS bytes, pg_indexes_size($1::regclass)::float8 AS "indexBytes",
              (SELECT coalesce(json_object_agg(indexrelid::regclass::text, pg_relation_size(indexrelid)), '{}')
               FROM pg_index WHERE indrelid = $1::regclass) AS indexes`,
      [table],
    );
    sizes.push({ table, ...rows[0], bytesARow: (rows[0].bytes + rows[0].indexBytes) / rows[0].rows });
  }
  return sizes;
}
