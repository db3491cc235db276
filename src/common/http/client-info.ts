import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { clientAddress } from './client-address.js';
import type { GatehouseRequest } from './request.js';

const USER_AGENT_MAX = 512;

/** Where a call comes from, as a session list shows it. */
export interface ClientInfo {
  readonly ipAddress: string;
  readonly userAgent: string | null;
}

export const Client = createParamDecorator((_: unknown, context: ExecutionContext): ClientInfo => {
  const request = context.switchToHttp().getRequest<GatehouseRequest>();
  return {
    ipAddress: clientAddress(request),
    userAgent: request.headers['user-agent']?.slice(0, USER_AGENT_MAX) ?? null,
  };
});
