import { Injectable, type PipeTransform } from '@nestjs/common';
import { RouteNotFoundError } from '../errors/errors.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a text is an id; in a path any other is 404. */
export const isId = (text: string): boolean => UUID.test(text);

/** A malformed id names nothing: 404, as for an id that nobody has. */
@Injectable()
export class IdPipe implements PipeTransform<string, string> {
  transform(value: string): string {
    if (!isId(value)) throw new RouteNotFoundError();
    return value.toLowerCase();
  }
}
