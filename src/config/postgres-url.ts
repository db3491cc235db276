const ONE_URL = 'one URL; several replicas are separated by commas';
const ONE_HOST = 'a URL with one host';
const ESCAPED =
  'a URL whose user and password are percent-encoded: %40 for @, %2F for /, %3F for ?, %23 for # (and the same in its query)';

/** In the query these may be named instead of before the host, with whatever they have in them. */
const CREDENTIAL = /^(user|password)=/;
const PARAMETER = /^[a-z_]+=/i;

/**
 * What a URL of a database takes that this one lacks, or `null`. Everything that may make a part of a password the host, the name of the
 * database or another URL is found before it is used: errors tell hosts and names.
 */
export function postgresUrlFault(value: string): string | null {
  const [, rest] = /^[a-z]+:\/\/(.*)$/is.exec(value) ?? [];
  if (rest === undefined) return null;
  if (/postgres(ql)?:\/\//i.test(rest)) return ONE_URL;
  const [, authority, path, query = ''] = /^([^/?#]*)([^?#]*)(\?.*)?/s.exec(rest) ?? [];
  const parameters = query.slice(1).split('&').filter(Boolean);
  if (rest.includes('#') || path.includes('@')) return ESCAPED;
  if (parameters.some((text) => !PARAMETER.test(text) || (text.includes('@') && !CREDENTIAL.test(text))))
    return ESCAPED;
  if (/[\s;]/.test(path)) return ONE_URL;
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  return host.includes(',') || parameters.some((text) => /^host=.*(,|%2c)/i.test(text)) ? ONE_HOST : null;
}
