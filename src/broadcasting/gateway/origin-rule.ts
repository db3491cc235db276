import type { IncomingHttpHeaders } from 'node:http';
import type { AppConfig } from '../../config/app-config.js';

/**
 * Whether a page may connect from where its browser says that it was loaded: from this server, or from an origin of the list. What is no
 * browser names no origin.
 *
 * A proxy that is not told otherwise puts its own name for this server into `Host`, and the browser's into `X-Forwarded-Host`. Where a
 * proxy is trusted, that counts too: a page cannot set the header without a preflight, which foreign origins fail.
 */
export function originRule(http: AppConfig['http']): (headers: IncomingHttpHeaders) => boolean {
  const { corsOrigins, publicUrl, trustedProxies } = http;
  const known = new Set([...corsOrigins, ...(publicUrl === null ? [] : [publicUrl])].map(originOf));
  const ownHosts = ({ host, ...headers }: IncomingHttpHeaders) =>
    trustedProxies === false ? [host] : [host, lastOf(headers['x-forwarded-host'])];
  return (headers) => {
    const { origin } = headers;
    if (origin === undefined || known.has(origin)) return true;
    // `null`, of a sandboxed frame or a file, is none either.
    if (originOf(origin) !== origin) return false;
    const { protocol } = new URL(origin);
    return /^https?:$/.test(protocol) && ownHosts(headers).some((host) => originOf(`${protocol}//${host}`) === origin);
  };
}

/** As browsers write it: lower case, without the scheme's own port. */
const originOf = (url: string): string | null => (URL.canParse(url) ? new URL(url).origin : null);

/** Each proxy appends what it was asked for; as for addresses, the nearest is believed. */
const lastOf = (values: string | string[] | undefined): string | undefined =>
  String(values ?? '')
    .split(',')
    .at(-1)
    ?.trim();
