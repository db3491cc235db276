/** A trigram needs three characters; shorter terms are looked up as a beginning. */
const TRIGRAM_LENGTH = 3;
const NAMES = `lower(username || ' ' || coalesce(full_name, '') || ' ' || coalesce(first_name, '') || ' ' || coalesce(last_name, ''))`;

interface UserSearch {
  /** Of a row of `users`; its parameter is the pattern. */
  readonly condition: string;
  readonly pattern: string;
}

/** How the indexes of `migrations/…-index-user-search` are asked for a term, in which every character stands for itself. */
export function userSearch(term: string, parameter: string, searchesEmail: boolean): UserSearch {
  const isShort = [...term].length < TRIGRAM_LENGTH;
  const names = isShort ? 'lower(username)' : NAMES;
  const columns = searchesEmail ? [names, 'lower(email)'] : [names];
  return {
    condition: `(${columns.map((column) => `${column} LIKE lower(${parameter})`).join(' OR ')})`,
    pattern: `${isShort ? '' : '%'}${term.replace(/[\\%_]/g, '\\$&')}%`,
  };
}
