import type { IncomingHttpHeaders } from 'node:http';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { clientAddress } from './client-address.js';
import type { GatehouseRequest } from './request.js';

const USER_AGENT_MAX = 512;

/** What is kept of a `User-Agent`. */
export const userAgentOf = (headers: IncomingHttpHeaders): string | null =>
  headers['user-agent']?.slice(0, USER_AGENT_MAX) ?? null;

/** Where something was asked for, as the audit log keeps it. */
export interface Origin {
  readonly ipAddress: string | null;
  readonly userAgent: string | null;
  readonly requestId: string | null;
}

/** Where a call comes from, as a session list shows it. */
export interface ClientInfo extends Origin {
  readonly ipAddress: string;
}

export const clientOf = (request: GatehouseRequest): ClientInfo => ({
  ipAddress: clientAddress(request),
  userAgent: userAgentOf(request.headers),
  requestId: request.id,
});

export const Client = createParamDecorator((_: unknown, context: ExecutionContext): ClientInfo =>
  clientOf(context.switchToHttp().getRequest<GatehouseRequest>()),
);
