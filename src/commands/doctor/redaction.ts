import { splitPostgresUrls } from '../../config/variable.js';
import { variables, type VariableName } from '../../config/variables.js';
import type { Source } from './settings.js';

/** Shorter ones are words, which would be taken out of every sentence. */
const LENGTH_MIN = 4;

/** Takes every secret of the configuration out of a text, should an error have carried it along. */
export function redactor(source: Source): (text: string) => string {
  const secrets = (Object.keys(variables) as VariableName[])
    .filter((name) => variables[name].isSecret)
    .flatMap((name) => splitPostgresUrls(source[name]?.trim() ?? '').flatMap(partsOf))
    .filter(({ length }) => length >= LENGTH_MIN)
    // A secret may be a part of another.
    .sort((one, other) => other.length - one.length);
  return (text) => secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
}

/** `scheme://user:password@host/name?query`, with none of the characters that part these within one of them. */
const CLEAR_URL = /^[a-z+]+:\/\/([^@/?#]*@)?[^@/?#]*(\/[^@/?#]*)?(\?[^@#]*)?$/i;

/** Whether what stands for the host cannot be a part of a password that was not escaped. */
export const isClearUrl = (url: string): boolean => CLEAR_URL.test(url);

/** In place of an error, which may tell a part of the password as a host or a name. */
export const UNCLEAR_URL = 'one of @ / ? # is in it where it parts nothing; in user and password write %40 %2F %3F %23';

function partsOf(value: string): string[] {
  const [, written] = /^[a-z]+:\/\/[^/@]*:([^/@]+)@/.exec(value) ?? [];
  if (!written) return [value];
  return [value, written, decoded(written)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
