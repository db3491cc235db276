import {
  applyDecorators,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  UseInterceptors,
} from '@nestjs/common';
import type { Observable } from 'rxjs';
import { RequestValidationPipe } from '../validation/request-validation.pipe.js';
import { ApiErrors } from './api-errors.decorator.js';
import type { GatehouseRequest } from './request.js';

class NoFields {}

@Injectable()
class NoBodyInterceptor implements NestInterceptor {
  private readonly pipe = new RequestValidationPipe();

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const { body } = context.switchToHttp().getRequest<GatehouseRequest>();
    await this.pipe.transform(body, { type: 'body', metatype: NoFields });
    return next.handle();
  }
}

/** The route takes no fields, so it refuses any as a route with a body refuses unknown ones; the document shows no body for it. */
export const NoBody = () => applyDecorators(UseInterceptors(NoBodyInterceptor), ApiErrors(422));
