import type { Type } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { ValidationFailedError } from '../errors/errors.js';
import { QueryIntegerField } from '../validation/fields.js';

export const PAGE_SIZE_MAX = 100;
const PAGE_SIZE_DEFAULT = 20;
const LIMIT_DEFAULT = 10;
/** Beyond it PostgreSQL's bigint and JavaScript's numbers part ways. */
const OFFSET_MAX = 1_000_000_000;

/** A slice of a list: `limit` rows from row `skip` on. */
export interface PageWindow {
  readonly skip: number;
  readonly limit: number;
}

/**
 * Both styles of paging: `page` with `size`, or `skip` with `limit`. What is meant when they are left out stands in words: Swagger UI fills
 * a `default` in, and `skip` beside it is refused.
 */
export class PageQuery {
  @QueryIntegerField(1, OFFSET_MAX / PAGE_SIZE_MAX, { description: 'Page, 1-based; 1 when left out' })
  page?: number;

  @QueryIntegerField(1, PAGE_SIZE_MAX, { description: `Items a page; ${PAGE_SIZE_DEFAULT} when left out` })
  size?: number;

  @QueryIntegerField(0, OFFSET_MAX, { description: 'Items to skip; not together with page and size' })
  skip?: number;

  @QueryIntegerField(1, PAGE_SIZE_MAX, { description: `Items to return; ${LIMIT_DEFAULT} when skip alone is given` })
  limit?: number;

  /** @throws ValidationFailedError when the two styles are mixed */
  window(): PageWindow {
    const isSkipStyle = this.skip !== undefined || this.limit !== undefined;
    if (!isSkipStyle) {
      const size = this.size ?? PAGE_SIZE_DEFAULT;
      return { skip: ((this.page ?? 1) - 1) * size, limit: size };
    }
    if (this.page !== undefined || this.size !== undefined) {
      const message = 'page/size and skip/limit cannot be mixed';
      const mixed = (['page', 'size', 'skip', 'limit'] as const).filter((name) => this[name] !== undefined);
      throw new ValidationFailedError(
        mixed.map((name) => ({ loc: ['query', name], msg: message, type: 'value_error.mixed_paging' })),
        Object.fromEntries(mixed.map((name) => [name, [message]])),
      );
    }
    return { skip: this.skip ?? 0, limit: this.limit ?? LIMIT_DEFAULT };
  }
}

export interface Page<T> {
  items: T[];
  total: number;
  page: number;
  size: number;
  pages: number;
  skip: number;
  limit: number;
}

/** The one body of all lists. `page` is the page on which the first item lies, for clients of either style. */
export function toPage<T>(items: T[], total: number, { skip, limit }: PageWindow): Page<T> {
  return {
    items,
    total,
    page: Math.floor(skip / limit) + 1,
    size: limit,
    pages: Math.ceil(total / limit),
    skip,
    limit,
  };
}

/** The class that documents a page of `Item`. */
export function PageOf<T>(Item: Type<T>): Type<Page<T>> {
  class PageResponse implements Page<T> {
    @ApiProperty({ type: [Item] })
    items!: T[];
    @ApiProperty({ type: 'integer', example: 42 })
    total!: number;
    @ApiProperty({ type: 'integer', example: 1 })
    page!: number;
    @ApiProperty({ type: 'integer', example: PAGE_SIZE_DEFAULT })
    size!: number;
    @ApiProperty({ type: 'integer', example: 3 })
    pages!: number;
    @ApiProperty({ type: 'integer', example: 0 })
    skip!: number;
    @ApiProperty({ type: 'integer', example: PAGE_SIZE_DEFAULT })
    limit!: number;
  }
  Object.defineProperty(PageResponse, 'name', { value: `${Item.name.replace(/Response$/, '')}Page` });
  return PageResponse;
}
