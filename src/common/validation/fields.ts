import { applyDecorators } from '@nestjs/common';
import { Transform } from 'class-transformer';
import { Allow, IsEmail, IsInt, IsString, Matches, Max, Min, ValidateBy, ValidateIf } from 'class-validator';
import { ApiProperty, ApiPropertyOptional, type ApiPropertyOptions } from '@nestjs/swagger';
import { ONE_LINE } from './one-line.js';

/** The field may be left out. Unlike `@IsOptional()`, `null` is not leaving it out. */
export const Optional = (): PropertyDecorator => ValidateIf((_object, value) => value !== undefined);

/** The field may be left out, and `null` clears it. */
export const Nullable = (): PropertyDecorator => ValidateIf((_object, value) => value !== undefined && value !== null);

/** Length in Unicode code points, which is what people and PostgreSQL count. */
export const TextLength = (min: number, max: number): PropertyDecorator =>
  ValidateBy({
    name: 'textLength',
    constraints: [min, max],
    validator: {
      validate: (value) => typeof value === 'string' && isBetween(codePoints(value), min, max),
      defaultMessage: ({ property = 'value', value } = { property: 'value', value: '' } as never) =>
        typeof value === 'string' && codePoints(value) < min
          ? `${property} must ${min === 1 ? 'not be empty' : `be at least ${min} characters long`}`
          : `${property} must be at most ${max} characters long`,
    },
  });

const isBetween = (length: number, min: number, max: number) => length >= min && length <= max;

/** Every code point but the second half of a surrogate pair begins a character; nothing is built to count them. */
function codePoints(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) if ((text.charCodeAt(at) & 0xfc00) !== 0xdc00) count++;
  return count;
}

/** One form of the same visible text (Unicode NFC), so that two keyboards make one address. */
export const Normalised = () => Transform(({ value }) => (typeof value === 'string' ? value.normalize('NFC') : value));

type Presence = 'required' | 'optional';

const documented = (presence: Presence, options: ApiPropertyOptions) =>
  presence === 'required' ? ApiProperty(options) : applyDecorators(ApiPropertyOptional(options), Optional());

export const EMAIL_MAX = 254;

export const EmailField = (presence: Presence = 'required') =>
  applyDecorators(
    documented(presence, { type: String, format: 'email', maxLength: EMAIL_MAX, example: 'user@example.com' }),
    Normalised(),
    IsString(),
    TextLength(1, EMAIL_MAX),
    IsEmail({}, { message: 'email must be a valid email address' }),
    // Characters that nobody sees would make two addresses of one.
    Matches(/^[^\p{C}\p{Z}]*$/u, { message: 'email must be a valid email address' }),
  );

export const UsernameField = (presence: Presence = 'required') =>
  applyDecorators(
    documented(presence, {
      type: String,
      minLength: 3,
      maxLength: 50,
      pattern: '^[A-Za-z0-9_]+$',
      example: 'john_doe',
    }),
    IsString(),
    TextLength(3, 50),
    Matches(/^[A-Za-z0-9_]+$/, { message: 'username may contain letters, digits and underscore' }),
  );

/** A new password. Its shape is text; what makes it good is the password policy's to say. */
export const NewPasswordField = (example = 'SecurePass123!') =>
  applyDecorators(ApiProperty({ type: String, format: 'password', minLength: 8, maxLength: 512, example }), IsString());

/** A new password typed a second time; the service compares. */
export const ConfirmPasswordField = (field: string, example = 'SecurePass123!') =>
  applyDecorators(
    ApiPropertyOptional({ type: String, format: 'password', description: `Must equal ${field}`, example }),
    Optional(),
    IsString(),
  );

/** A password or token to compare, so nothing but its being text is checked. */
export const SecretField = (options: ApiPropertyOptions = {}) =>
  applyDecorators(ApiProperty({ type: String, format: 'password', example: 'SecurePass123!', ...options }), IsString());

const FREE_FORM = 'gatehouse:free-form';

/** Any JSON, at any depth: handed on as it came, and never merged into an object or stored but as JSON. */
export const FreeForm = () =>
  applyDecorators(Allow(), (target: object, property?: string | symbol) =>
    Reflect.defineMetadata(FREE_FORM, [...freeFormFields(target), String(property)], target),
  );

/** The fields of a DTO's prototype whose content is not looked at. */
export const freeFormFields = (prototype: object): readonly string[] =>
  (Reflect.getMetadata(FREE_FORM, prototype) as string[] | undefined) ?? [];

/** The same, with line breaks and tabs. */
export const LINES = /^(?:[\t\n\r]|[^\p{Cc}\u202a-\u202e\u2066-\u2069])*$/u;

/** Text that `null` clears. */
export const nullableText = (max: number, example: string, allowed: RegExp) =>
  applyDecorators(
    ApiPropertyOptional({ type: String, nullable: true, maxLength: max, example }),
    Nullable(),
    Normalised(),
    IsString(),
    TextLength(0, max),
    Matches(allowed, { message: '$property must not contain control characters' }),
  );

export const NameField = (example: string) => nullableText(100, example, ONE_LINE);

export const BioField = () => nullableText(500, 'Software developer', LINES);

export const PhoneField = () =>
  applyDecorators(
    ApiPropertyOptional({ type: String, nullable: true, pattern: '^\\+[1-9]\\d{6,14}$', example: '+1234567890' }),
    Nullable(),
    IsString(),
    Matches(/^\+[1-9]\d{6,14}$/, { message: 'phone_number must be in E.164 form, like +1234567890' }),
  );

/** A whole number in a query string, where everything arrives as text: `1e3`, ` 7` and `0x10` are not one. */
export const QueryIntegerField = (min: number, max: number, options: ApiPropertyOptions = {}) =>
  applyDecorators(
    ApiPropertyOptional({ type: 'integer', minimum: min, maximum: max, ...options } as ApiPropertyOptions),
    Optional(),
    Transform(({ value }) => (typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value)),
    IsInt(),
    Min(min),
    Max(max),
  );

/** Free text to search for: every character stands for itself. */
export const SearchField = (description: string) =>
  applyDecorators(
    ApiPropertyOptional({ type: String, maxLength: 200, description }),
    Optional(),
    Normalised(),
    IsString(),
    TextLength(0, 200),
  );
