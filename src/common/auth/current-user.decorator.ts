import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { carrierOf } from './caller.js';

/** The caller: a `Principal` on routes that need one, `Principal | undefined` on `@OptionallyAuthenticated()` ones. */
export const CurrentUser = createParamDecorator(
  (_: unknown, context: ExecutionContext) => carrierOf(context).principal,
);
