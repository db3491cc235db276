import { isIP } from 'node:net';
import proxyAddr from '@fastify/proxy-addr';
import type { FastifyRequest } from 'fastify';
import { clientAddress } from '../../common/http/client-address.js';
import type { AppConfig } from '../../config/app-config.js';
import { trustRule } from '../../config/trusted-proxies.js';
import type { TrustedProxies } from '../../config/variable.js';
import { type Finding, ok, problem, warning } from './check.js';

/** A request as it arrives: who has connected, and what the header says. */
export interface SampleRequest {
  readonly peer: string;
  readonly forwardedFor: string;
}

const CLIENT = '203.0.113.7';
const FORGED = '198.51.100.66';
const EXAMPLE_PROXIES = [
  '10.0.0.1',
  '10.0.0.2',
  '10.0.0.3',
  '10.0.0.4',
  '10.0.0.5',
  '10.0.0.6',
  '10.0.0.7',
  '10.0.0.8',
  '10.0.0.9',
];
const NAMED_NETWORKS: Record<string, string> = {
  loopback: '127.0.0.1',
  linklocal: '169.254.0.1',
  uniquelocal: '10.0.0.1',
};

export function checkProxy(http: AppConfig['http'], given: SampleRequest | null): Finding[] {
  const { trustedProxies } = http;
  const judgement = judge(http);
  // Networks of everybody are none that could be asked.
  if (judgement.state === 'problem') return [judgement];
  const sample = given ?? exampleFor(trustedProxies);
  return [judgement, ok(`${given ? '' : 'for example, '}${explain(trustedProxies, sample)}`)];
}

function judge({ trustedProxies, publicUrl }: AppConfig['http']): Finding {
  const summary = `TRUST_PROXY=${Array.isArray(trustedProxies) ? trustedProxies.join(',') : String(trustedProxies)}`;
  if (typeof trustedProxies === 'object' && trustedProxies.some(isHuge))
    return problem(
      `${summary} believes a large part of the internet`,
      'Anybody can forge an address, and so pass every limit: name the addresses of your proxies alone.',
    );
  if (trustedProxies === false && publicUrl?.startsWith('https:'))
    return warning(
      `${summary}, and PUBLIC_URL begins with https://`,
      'If a proxy ends TLS in front of this server, all users share its address, and its limits: set TRUST_PROXY=1, or its address.',
    );
  if (typeof trustedProxies === 'number')
    return ok(`${summary}: right if every request comes through so many proxies, and none past them`);
  return ok(summary);
}

/** Larger than any network that belongs to somebody's proxies: 10.0.0.0/8 and fc00::/7 are the largest private ones. */
function isHuge(network: string): boolean {
  const [address, prefix] = network.split('/');
  return prefix !== undefined && Number(prefix) < (isIP(address) === 6 ? 7 : 8);
}

/** Whose address counts, and why; by the same functions that the server asks. */
export function explain(trusted: TrustedProxies, { peer, forwardedFor }: SampleRequest): string {
  const headers: Record<string, string> = forwardedFor ? { 'x-forwarded-for': forwardedFor } : {};
  const raw = { socket: { remoteAddress: peer }, headers };
  const rule = trustRule(trusted);
  const ip = proxyAddr(raw as Parameters<typeof proxyAddr>[0], rule);
  const effective = clientAddress({ ip, raw } as unknown as FastifyRequest);
  const said = forwardedFor ? `with X-Forwarded-For: ${forwardedFor}` : 'without X-Forwarded-For';
  return `a request from ${peer} ${said} counts for ${effective}: ${reasonFor(rule, peer, forwardedFor)}`;
}

function reasonFor(rule: (address: string, hop: number) => boolean, peer: string, forwardedFor: string): string {
  const hops = [
    peer,
    ...forwardedFor
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean)
      .reverse(),
  ];
  const end = hops.findIndex((address, hop) => !rule(address, hop));
  if (hops.length === 1) return 'nothing was forwarded';
  if (end === 0) return `${peer} is no trusted proxy, so what it says of others is not believed`;
  const believed = hops.slice(0, end < 0 ? hops.length - 1 : end).join(', ');
  return end < 0
    ? `${believed} is believed, and there is nobody before`
    : `${believed} is believed, and no address before`;
}

/** With an address that a client has made up in front. */
function exampleFor(trusted: TrustedProxies): SampleRequest {
  if (trusted === false) return { peer: CLIENT, forwardedFor: FORGED };
  const proxies = typeof trusted === 'number' ? EXAMPLE_PROXIES.slice(0, trusted) : [addressOf(trusted[0])];
  const [peer, ...before] = proxies;
  return { peer, forwardedFor: [FORGED, CLIENT, ...before.reverse()].join(', ') };
}

const addressOf = (network: string) => NAMED_NETWORKS[network] ?? network.split('/')[0];

/** @throws Error when an address is none */
export function sampleFrom(peer: string | undefined, forwardedFor: string): SampleRequest | null {
  if (peer === undefined) return null;
  if (isIP(peer) === 0) throw new Error(`--request-ip takes an address, and ${peer} is none`);
  return { peer, forwardedFor };
}
