import proxyAddr from '@fastify/proxy-addr';
import type { TrustedProxies } from './variable.js';

/** Whether the proxy at this address, so many hops away, is believed about who is behind it. */
export type TrustRule = (address: string, hop: number) => boolean;

export function trustRule(trusted: TrustedProxies): TrustRule {
  if (typeof trusted === 'number') return (_address, hop) => hop < trusted;
  return trusted === false ? () => false : proxyAddr.compile([...trusted]);
}
