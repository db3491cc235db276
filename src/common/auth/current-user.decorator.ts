import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { GatehouseRequest } from '../http/request.js';

/** The caller: a `Principal` on routes that need one, `Principal | undefined` on `@OptionallyAuthenticated()` ones. */
export const CurrentUser = createParamDecorator(
  (_: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<GatehouseRequest>().principal,
);
