import { type ArgumentMetadata, Injectable, type PipeTransform, type Type } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { validate, type ValidationError } from 'class-validator';
import type { ShapeFault } from '../errors/app-error.js';
import { ValidationFailedError } from '../errors/errors.js';
import { freeFormFields } from './fields.js';
import { findTextFaults } from './text-faults.js';

type Source = 'body' | 'query' | 'path';
type Path = (string | number)[];

const SOURCES: Partial<Record<ArgumentMetadata['type'], Source>> = { body: 'body', query: 'query', param: 'path' };
const UNCHECKED: ReadonlySet<unknown> = new Set([Object, String, Number, Boolean, Array, undefined]);

/**
 * Turns a body or query into its DTO. Unknown fields, text that PostgreSQL cannot store and whatever the DTO's decorators
 * refuse are answered with a 422.
 * @throws ValidationFailedError
 */
@Injectable()
export class RequestValidationPipe implements PipeTransform {
  async transform(value: unknown, { metatype, type }: ArgumentMetadata): Promise<unknown> {
    const source = SOURCES[type];
    if (!source || !metatype || UNCHECKED.has(metatype)) return value;
    const plain = value ?? {};
    if (typeof plain !== 'object' || Array.isArray(plain)) {
      throw failure([{ loc: [source], msg: 'value is not an object', type: 'type_error.object' }]);
    }
    // Before anything else looks at the keys: class-transformer would take a `constructor` in the body for a class.
    const textFaults = findTextFaults(withoutFreeForm(plain, metatype), [source]);
    if (textFaults.length > 0) throw failure(textFaults);
    const dto = toInstance(metatype, plain);
    const errors = await validate(dto, { whitelist: true, forbidNonWhitelisted: true, forbidUnknownValues: false });
    if (errors.length > 0) throw failure(errors.flatMap((error) => shapeFaults(error, [source])));
    return dto;
  }
}

function withoutFreeForm(plain: object, { prototype }: Type<object>): object {
  const fields = freeFormFields(prototype as object);
  return fields.length === 0
    ? plain
    : Object.fromEntries(Object.entries(plain).filter(([name]) => !fields.includes(name)));
}

/**
 * class-transformer walks and copies whatever is nested, at a cost of seconds for a body of a megabyte. What is nested is
 * handed over as it came instead, for the validators to accept or refuse.
 */
function toInstance(metatype: Type<object>, plain: object): object {
  const isNested = ([, value]: [string, unknown]) => typeof value === 'object' && value !== null;
  const entries = Object.entries(plain);
  const flat = Object.fromEntries(entries.filter((entry) => !isNested(entry)));
  return Object.assign(plainToInstance(metatype, flat), Object.fromEntries(entries.filter(isNested)));
}

function shapeFaults(error: ValidationError, path: Path): ShapeFault[] {
  const loc = [...path, error.property];
  const inner = (error.children ?? []).flatMap((child) => shapeFaults(child, loc));
  const constraints = Object.entries(error.constraints ?? {});
  if (constraints.length === 0) return inner;
  if (error.constraints?.whitelistValidation) return [unknownField(loc), ...inner];
  if (error.value === undefined) return [{ loc, msg: 'field required', type: 'value_error.missing' }];
  const typeFault = constraints.find(([name]) => TYPE_CONSTRAINTS[name]);
  if (typeFault) return [{ loc, msg: typeFault[1], type: `type_error.${TYPE_CONSTRAINTS[typeFault[0]]}` }];
  return [...constraints.map(([name, msg]) => ({ loc, msg, type: `value_error.${snakeCase(name)}` })), ...inner];
}

const unknownField = (loc: Path): ShapeFault => ({
  loc,
  msg: 'extra fields not permitted',
  type: 'value_error.extra',
});

/** When a value is of the wrong type, its other faults say nothing more. */
const TYPE_CONSTRAINTS: Record<string, string> = {
  isString: 'string',
  isInt: 'integer',
  isBoolean: 'boolean',
  isArray: 'array',
  isObject: 'object',
};

const snakeCase = (name: string) =>
  name.replace(/^is(?=[A-Z])/, '').replace(/[A-Z]/g, (letter, at) => `${at ? '_' : ''}${letter.toLowerCase()}`);

/** An answer stays small, whatever was sent: so many faults, and so much of each name. */
const FAULTS_MAX = 20;
const NAME_MAX = 60;

const shorten = (part: string | number) =>
  typeof part === 'string' && part.length > NAME_MAX ? `${part.slice(0, NAME_MAX).toWellFormed()}…` : part;

function failure(all: ShapeFault[]): ValidationFailedError {
  const faults = all.slice(0, FAULTS_MAX).map((fault) => ({ ...fault, loc: fault.loc.map(shorten) }));
  const fieldErrors: Record<string, string[]> = {};
  for (const { loc, msg } of faults) {
    const field = loc.slice(1).join('.') || String(loc[0]);
    // A field named __proto__ must become a key of its own, not the object's prototype.
    const value = [...(Object.hasOwn(fieldErrors, field) ? fieldErrors[field] : []), msg];
    Object.defineProperty(fieldErrors, field, { value, enumerable: true, configurable: true, writable: true });
  }
  return new ValidationFailedError(faults, fieldErrors);
}
