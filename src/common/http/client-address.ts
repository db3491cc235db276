import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

/**
 * The address of the caller, always an address: proxies append ports, zones, or whatever they were sent. What is none counts as the
 * proxy that sent it.
 */
export function clientAddress(request: FastifyRequest): string {
  // Of a connection that is closed there is none any more.
  const ip = (request.ip as string | undefined) ?? '';
  if (isIP(ip) && !ip.includes('%')) return ip;
  const bare = ip
    .replace(/^\[([^\]]*)\](:\d+)?$/, '$1')
    .replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1')
    .replace(/%.*$/, '');
  return isIP(bare) ? bare : (request.raw.socket.remoteAddress ?? '::');
}
