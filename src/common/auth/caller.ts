import type { ExecutionContext } from '@nestjs/common';
import type { AccessClaims } from './access-claims.js';
import type { Principal } from './principal.js';

/** What a call carries of its caller: an HTTP request, the data of a socket. */
export interface CallerCarrier {
  principal?: Principal;
  /** The verified claims of the token, `null` when there is none or it is bad. */
  accessClaims?: AccessClaims | null;
}

export const isSocketEvent = (context: ExecutionContext): boolean => context.getType() === 'ws';

export function carrierOf(context: ExecutionContext): CallerCarrier {
  return isSocketEvent(context)
    ? context.switchToWs().getClient<{ data: CallerCarrier }>().data
    : context.switchToHttp().getRequest<CallerCarrier>();
}
