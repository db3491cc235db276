import { applyDecorators } from '@nestjs/common';
import { ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { IsBoolean, isISO8601, ValidateBy } from 'class-validator';
import { Optional } from '../../common/validation/fields.js';
import { isId } from '../../common/validation/id.pipe.js';

const BOOLEANS: Readonly<Record<string, boolean>> = { true: true, false: false };

/** `true` or `false` in a query string, where everything arrives as text. */
export const QueryBooleanField = (description: string) =>
  applyDecorators(
    ApiPropertyOptional({ type: Boolean, description }),
    Optional(),
    Transform(({ value }) => (typeof value === 'string' && Object.hasOwn(BOOLEANS, value) ? BOOLEANS[value] : value)),
    IsBoolean(),
  );

export const QueryIdField = (description: string) =>
  applyDecorators(
    ApiPropertyOptional({ type: String, format: 'uuid', description }),
    Optional(),
    ValidateBy({
      name: 'isId',
      validator: {
        validate: (value) => typeof value === 'string' && isId(value),
        defaultMessage: () => '$property must be an id',
      },
    }),
  );

/** A day, or a moment with its offset from UTC: without one it would be a moment of wherever the server is. */
const TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;

const isTime = (value: unknown): boolean =>
  typeof value === 'string' &&
  TIME.test(value) &&
  isISO8601(value, { strict: true }) &&
  !Number.isNaN(Date.parse(value));

/** Without an example, which Swagger UI would fill in. */
export const QueryTimeField = (description: string) =>
  applyDecorators(
    ApiPropertyOptional({ type: String, format: 'date-time', description }),
    Optional(),
    ValidateBy({
      name: 'isTime',
      validator: {
        validate: isTime,
        defaultMessage: () => '$property must be a time like 2026-01-31T12:00:00Z or a day like 2026-01-31',
      },
    }),
  );
