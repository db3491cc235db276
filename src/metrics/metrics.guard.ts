import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv6 } from 'node:net';
import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { bearerToken } from '../auth/tokens/access-tokens.js';
import { InvalidCredentialsError, NotAuthenticatedError } from '../common/errors/errors.js';
import type { GatehouseRequest } from '../common/http/request.js';
import { AppConfig } from '../config/app-config.js';
import { MetricsLocalOnlyError } from './metrics.errors.js';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** What proxies add; a caller on this machine has no reason to. */
const OF_PROXIES = /^(x-forwarded(-.*)?|forwarded|via|x-real-ip|(x|true|x-cluster|fastly)-client-ip|cf-connecting-ip)$/;
/** Another name for this machine is one that a page in a browser has made up to get here (DNS rebinding). */
const LOCAL_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i;

/** Who may read the metrics: whoever has the token; without one configured, a caller on this machine that came through no proxy. */
@Injectable()
export class MetricsGuard implements CanActivate {
  constructor(private readonly config: AppConfig) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<GatehouseRequest>();
    const { token } = this.config.metrics;
    if (token !== null) return hasToken(request, token);
    if (this.config.http.trustedProxies !== false || !isLocal(request.raw)) throw new MetricsLocalOnlyError();
    return true;
  }
}

function hasToken(request: GatehouseRequest, expected: string): true {
  const given = bearerToken(request);
  if (given === null) throw new NotAuthenticatedError();
  if (!timingSafeEqual(digest(given), digest(expected))) throw new InvalidCredentialsError();
  return true;
}

/** Of one length, whatever was sent. */
const digest = (text: string) => createHash('sha256').update(text).digest();

/** A proxy on this machine that tells nothing of itself usually speaks HTTP/1.0, as nginx does unless it is told otherwise. */
function isLocal({ socket, headers, httpVersion }: IncomingMessage): boolean {
  return (
    isLoopback(socket.remoteAddress) &&
    httpVersion === '1.1' &&
    LOCAL_HOST.test(headers.host ?? '') &&
    !Object.keys(headers).some((name) => OF_PROXIES.test(name))
  );
}

/** As the connection has it, not as a header says. */
const isLoopback = (address = ''): boolean => LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
