import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { postgresUrlFault } from './postgres-url.js';

/** A value that is not what the variable takes. A message, which tells more than what it accepts, completes the sentence "it takes …". */
export class UnacceptableValue extends Error {}

/** One environment variable: how it is read, what it defaults to and what the operator is told about it. */
export interface Variable<T> {
  readonly description: string;
  /** What the variable takes, as the operator reads it: `a whole number from 1 to 65535`. */
  readonly accepts: string;
  /** The default as it would be written in the environment; `null` when there is none. */
  readonly fallback: string | null;
  /** What happens without a value, for variables that have no default. */
  readonly whenUnset?: string;
  /** A secret's value appears in no message. */
  readonly isSecret: boolean;
  /** @throws UnacceptableValue */
  parse(text: string): T;
}

interface Details {
  description: string;
  fallback?: string;
  whenUnset?: string;
  secret?: boolean;
}

function variable<T>(accepts: string, details: Details, parse: (text: string) => T): Variable<T> {
  return {
    description: details.description,
    accepts,
    fallback: details.fallback ?? null,
    whenUnset: details.whenUnset,
    isSecret: details.secret ?? false,
    parse,
  };
}

const refuse = (expected?: string): never => {
  throw new UnacceptableValue(expected);
};

const WORKERS_MAX = 64;

/** How many processes: a number, or `auto` for one a core. */
export const concurrency = (details: Details): Variable<number> =>
  variable(`a whole number from 1 to ${WORKERS_MAX}, or auto`, details, (value) => {
    if (value === 'auto') return Math.min(availableParallelism(), WORKERS_MAX);
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < 1 || number > WORKERS_MAX) refuse();
    return number;
  });

interface TextDetails extends Details {
  accepts?: string;
  minLength?: number;
  test?: (value: string) => boolean;
}

export const text = (details: TextDetails): Variable<string> =>
  variable(details.accepts ?? 'text', details, (value) => {
    if (details.test && !details.test(value)) refuse();
    if (details.minLength !== undefined && [...value].length < details.minLength) refuse();
    return value;
  });

export const integer = (details: Details & { min: number; max: number }): Variable<number> =>
  variable(`a whole number from ${details.min} to ${details.max}`, details, (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < details.min || number > details.max) refuse();
    return number;
  });

export const boolean = (details: Details): Variable<boolean> =>
  variable('true or false', details, (value) => {
    if (/^(true|1|yes|on)$/i.test(value)) return true;
    if (/^(false|0|no|off)$/i.test(value)) return false;
    return refuse();
  });

export const oneOf = <const T extends string>(choices: readonly T[], details: Details): Variable<T> =>
  variable(
    choices.join(', '),
    details,
    (value) => choices.find((choice) => choice === value.toLowerCase()) ?? refuse(),
  );

/** libpq's form for a socket, `postgres://user:password@/database?host=/folder`, has no host, which URLs do not know. */
function readPostgresUrl(value: string): string {
  const expected = postgresUrlFault(value);
  if (expected) refuse(expected);
  const url = value.replace(/^(postgres(?:ql)?:\/\/[^/@]*@)\//, '$1localhost/');
  if (!URL.canParse(url) || !/^postgres(ql)?:$/.test(new URL(url).protocol)) refuse();
  return url;
}

export const postgresUrl = (details: Details): Variable<string> =>
  variable('a URL like postgres://user:password@host:5432/database', details, readPostgresUrl);

/** A password may have a comma in it: what parts two is one before the beginning of a URL. */
export const postgresUrls = (details: Details): Variable<readonly string[]> =>
  variable('URLs like postgres://user:password@host:5432/database, separated by commas', details, (value) =>
    splitPostgresUrls(value).map(readOfSeveral),
  );

/** What follows a comma and begins like no URL would be a part of the name of a database. */
function readOfSeveral(value: string): string {
  const url = readPostgresUrl(value);
  if (/,/.test(new URL(url).pathname)) refuse();
  return url;
}

export const splitPostgresUrls = (value: string): string[] => value.split(/\s*,\s*(?=postgres(?:ql)?:\/\/)/i);

export const url = (protocols: readonly string[], details: Details): Variable<string> =>
  variable(`a URL that begins with ${protocols.map((p) => `${p}://`).join(' or ')}`, details, (value) => {
    const protocol = URL.canParse(value) ? new URL(value).protocol.replace(':', '') : '';
    if (!protocols.includes(protocol)) refuse();
    return value;
  });

export const list = (details: Details & { accepts: string; item: RegExp }): Variable<readonly string[]> =>
  variable(details.accepts, details, (value) => {
    const items = value
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean);
    if (items.some((item) => !details.item.test(item))) refuse();
    return items;
  });

/** `count/seconds`, as in `5/60`. */
export interface Limit {
  readonly count: number;
  readonly seconds: number;
}

export const limit = (details: Details): Variable<Limit> =>
  variable('count/seconds, like 100/60', details, (value) => {
    const match = /^(\d{1,9})\/(\d{1,9})$/.exec(value);
    if (!match || Number(match[1]) < 1 || Number(match[2]) < 1) return refuse();
    return { count: Number(match[1]), seconds: Number(match[2]) };
  });

/** `false` (trust nobody), a number of proxies in front, or the proxies' addresses. */
export type TrustedProxies = false | number | readonly string[];

export const proxies = (details: Details): Variable<TrustedProxies> =>
  variable(
    'false, a number of proxies (1 to 10), or their addresses like 10.0.0.1, 10.1.0.0/16, loopback',
    details,
    (value) => {
      if (value === 'false' || value === '0') return false;
      if (/^([1-9]|10)$/.test(value)) return Number(value);
      const addresses = value.split(',').map((address) => address.trim());
      if (!addresses.every(isProxyAddress)) refuse();
      return addresses;
    },
  );

/** An address, a network in CIDR form (not `/0`, which would be everybody), or one of the names that stand for networks. */
function isProxyAddress(text: string): boolean {
  if (/^(loopback|linklocal|uniquelocal)$/.test(text)) return true;
  const [address, prefix, ...rest] = text.split('/');
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return (
    bits > 0 && rest.length === 0 && (prefix === undefined || (/^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) <= bits))
  );
}
