import { Injectable, type PipeTransform } from '@nestjs/common';
import { RouteNotFoundError } from '../errors/errors.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A malformed id names nothing: 404, as for an id that nobody has. */
@Injectable()
export class IdPipe implements PipeTransform<string, string> {
  transform(value: string): string {
    if (!UUID.test(value)) throw new RouteNotFoundError();
    return value.toLowerCase();
  }
}
