/** PostgreSQL's bigint arrives as text; our counts and sizes stay far below 2^53. */
export const bigintAsNumber = { to: (value: number) => value, from: (value: string) => Number(value) };
