import { type ArgumentMetadata, Injectable, type PipeTransform } from '@nestjs/common';
import { plainToInstance } from 'class-transformer';
import { validate, type ValidationError } from 'class-validator';
import type { ShapeFault } from '../errors/app-error.js';
import { ValidationFailedError } from '../errors/errors.js';

type Source = 'body' | 'query' | 'path';
type Path = (string | number)[];

const SOURCES: Partial<Record<ArgumentMetadata['type'], Source>> = { body: 'body', query: 'query', param: 'path' };
const UNCHECKED: ReadonlySet<unknown> = new Set([Object, String, Number, Boolean, Array, undefined]);
/** class-transformer leaves these keys out without a word; they are unknown fields like any other. */
const RESERVED_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Turns a body or query into its DTO. Unknown fields, text that PostgreSQL cannot store (`\u0000`, half a surrogate pair) and
 * whatever the DTO's decorators refuse are answered together, in one 422.
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
    const faults = textFaults(plain, [source]);
    const dto = plainToInstance(metatype, plain) as object;
    const errors = await validate(dto, { whitelist: true, forbidNonWhitelisted: true, forbidUnknownValues: false });
    faults.push(...errors.flatMap((error) => shapeFaults(error, [source])));
    if (faults.length > 0) throw failure(faults);
    return dto;
  }
}

/** Walks with a list of its own, so that depth costs no stack. */
function textFaults(root: object, at: Path): ShapeFault[] {
  const faults: ShapeFault[] = [];
  const pending: [object, Path][] = [[root, at]];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [object, path] = next;
    for (const [key, value] of Object.entries(object)) {
      const loc = [...path, Array.isArray(object) ? Number(key) : key];
      if (RESERVED_KEYS.has(key)) faults.push(unknownField(loc));
      else if (!isStorable(key))
        faults.push({ loc: path, msg: 'a field name is not valid text', type: 'value_error.text' });
      else if (typeof value === 'string' && !isStorable(value)) {
        faults.push({ loc, msg: `${key} must not contain NUL or broken Unicode`, type: 'value_error.text' });
      } else if (typeof value === 'object' && value !== null) pending.push([value, loc]);
    }
  }
  return faults;
}

const isStorable = (text: string) => text.isWellFormed() && !text.includes('\0');

const unknownField = (loc: Path): ShapeFault => ({ loc, msg: 'extra fields not permitted', type: 'value_error.extra' });

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

function failure(faults: ShapeFault[]): ValidationFailedError {
  const fieldErrors: Record<string, string[]> = {};
  for (const { loc, msg } of faults) {
    const field = loc.slice(1).join('.') || String(loc[0]);
    // A field named __proto__ must become a key of its own, not the object's prototype.
    const messages = Object.hasOwn(fieldErrors, field) ? fieldErrors[field] : [];
    Object.defineProperty(fieldErrors, field, {
      value: [...messages, msg],
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return new ValidationFailedError(faults, fieldErrors);
}
