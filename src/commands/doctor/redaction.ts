import { variables, type VariableName } from '../../config/variables.js';
import type { Source } from './settings.js';

/** Shorter ones are words, which would be taken out of every sentence. */
const LENGTH_MIN = 4;

/** Takes every secret of the configuration out of a text, should an error have carried it along. */
export function redactor(source: Source): (text: string) => string {
  const secrets = (Object.keys(variables) as VariableName[])
    .filter((name) => variables[name].isSecret)
    .flatMap((name) => partsOf(source[name]?.trim() ?? ''))
    .filter(({ length }) => length >= LENGTH_MIN)
    // A secret may be a part of another.
    .sort((one, other) => other.length - one.length);
  return (text) => secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
}

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
