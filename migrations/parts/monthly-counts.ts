import type { QueryRunner } from 'typeorm';

/** The month of UTC in which a time is. */
export const MONTH = (time: string) => `date_trunc('month', ${time} AT TIME ZONE 'UTC')::date`;

/** Adds sums to the rows of the transaction's own shard (`own_shard`). */
export const add = (table: string, columns: string, sums: string, rows: string) => `
  INSERT INTO ${table} AS c (${columns}, shard, ${sums}) ${rows}
  ON CONFLICT (${columns}, shard) DO UPDATE SET ${sums
    .split(', ')
    .map((sum) => `${sum} = c.${sum} + excluded.${sum}`)
    .join(', ')};`;

export const addMonths = (kind: string, time: string, sign: string, from: string) =>
  add(
    'monthly_counts',
    'kind, month',
    'items',
    `SELECT '${kind}', ${MONTH(time)}, own_shard, ${sign}count(*) FROM ${from} GROUP BY 2 ORDER BY 2`,
  );

export const addTypes = (sign: string, from: string) =>
  add(
    'file_type_totals',
    'content_type',
    'files, bytes',
    `SELECT content_type, own_shard, ${sign}count(*), ${sign}sum(file_size) FROM ${from} GROUP BY 1 ORDER BY 1`,
  );

/** What an event's transition table is called, and whether its rows are more or fewer. */
export const EVENTS = [
  { name: 'insert', tables: 'NEW TABLE AS added', rows: 'added', sign: '' },
  { name: 'delete', tables: 'OLD TABLE AS removed', rows: 'removed', sign: '-' },
];

/** A trigger function whose counts go to a shard that nobody else is writing to. */
export async function createCounter(db: QueryRunner, name: string, body: string): Promise<void> {
  await db.query(`
    CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      own_shard smallint;
    BEGIN
      ${body}
      RETURN NULL;
    END $$`);
}

export async function dropCounters(db: QueryRunner, table: string): Promise<void> {
  for (const event of ['insert', 'delete', 'update']) {
    await db.query(`DROP TRIGGER "TR_${table}_month_${event}" ON ${table}`);
    await db.query(`DROP FUNCTION count_${table}_${event}_by_month`);
  }
}
