import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { In, Repository } from 'typeorm';
import type { PageWindow } from '../common/http/page.js';
import { StoredFile } from './stored-file.entity.js';

export interface FilesFilter {
  readonly search: string | null;
  /** `image/png`, `image/*` or all. */
  readonly contentType: string | null;
  readonly sortBy: 'upload_date' | 'filename' | 'file_size';
  readonly isDescending: boolean;
}

interface Owner {
  readonly id: string;
}

interface PageOfIds {
  readonly ids: string[];
  readonly total: number;
}

const NAME = `(lower(filename) COLLATE "C")`;
export const SORT_KEYS = { upload_date: 'upload_date', filename: NAME, file_size: 'file_size' } as const;
const TEXT = `lower(filename || ' ' || coalesce(description, ''))`;
/** A trigram needs three characters; shorter terms are looked up as a beginning. */
const TRIGRAM_LENGTH = 3;

const escaped = (term: string) => term.replace(/[\\%_]/g, '\\$&');

/**
 * Lists of one owner's files. Each is a walk along an index that has the order asked for, and its total is read from a sum that the
 * database keeps (`migrations/…-account-uploads`), so that a list costs the same whatever its length.
 */
@Injectable()
export class FilesListRepository {
  constructor(@InjectRepository(StoredFile) private readonly rows: Repository<StoredFile>) {}

  async list(owner: Owner, filter: FilesFilter, window: PageWindow): Promise<{ files: StoredFile[]; total: number }> {
    const { ids, total } = await this.page(owner, filter, window);
    const found = await this.rows.findBy({ id: In(ids) });
    const byId = new Map(found.map((file) => [file.id, file]));
    return { files: ids.flatMap((id) => byId.get(id) ?? []), total };
  }

  /** So many files in the order in which they came, after the one given or from the first on. */
  listAfter(ownerId: string, last: StoredFile | null, limit: number): Promise<StoredFile[]> {
    const query = this.rows.createQueryBuilder('f').where(`f.owner_id = :ownerId AND f.state = 'ready'`, { ownerId });
    if (last) query.andWhere('(f.upload_date, f.id) > (:date, :id)', { date: last.uploadDate, id: last.id });
    return query.orderBy('f.uploadDate').addOrderBy('f.id').limit(limit).getMany();
  }

  private page(owner: Owner, filter: FilesFilter, window: PageWindow): Promise<PageOfIds> {
    if (filter.search !== null) return this.pageOfMatches(owner, { ...filter, search: filter.search }, window);
    if (filter.contentType !== null) return this.pageOfType(owner, filter.contentType, filter, window);
    return this.pageOfAll(owner, filter, window);
  }

  private pageOfAll(owner: Owner, filter: FilesFilter, { skip, limit }: PageWindow): Promise<PageOfIds> {
    return this.idsAndTotal(
      `SELECT ARRAY(SELECT id FROM uploads WHERE owner_id = $1 AND state = 'ready' ${orderBy(filter)} OFFSET $2 LIMIT $3) AS ids,
              (SELECT total_uploads FROM users WHERE id = $1) AS total`,
      [owner.id, skip, limit],
    );
  }

  /** Of each type that the owner has and that is asked for, the beginning of its own order; then these are merged. */
  private pageOfType(owner: Owner, contentType: string, filter: FilesFilter, window: PageWindow): Promise<PageOfIds> {
    const types = `
      SELECT content_type, files FROM upload_type_counts
      WHERE owner_id = $1 AND files > 0 AND ${ofType(contentType, '$4')}`;
    return this.idsAndTotal(
      `SELECT ARRAY(
                SELECT f.id FROM (${types}) t CROSS JOIN LATERAL (
                  SELECT id, ${SORT_KEYS[filter.sortBy]} AS key FROM uploads
                  WHERE owner_id = $1 AND state = 'ready' AND content_type = t.content_type ${orderBy(filter)} LIMIT $2::bigint + $3::bigint) f
                ${orderBy(filter, 'f.key', 'f.id')} OFFSET $2 LIMIT $3) AS ids,
              (SELECT coalesce(sum(files), 0) FROM (${types}) t) AS total`,
      [owner.id, window.skip, window.limit, typeValue(contentType)],
    );
  }

  /** The matches are found once, by trigrams and owner together, for the count and the page. */
  private pageOfMatches(
    owner: Owner,
    filter: FilesFilter & { search: string },
    window: PageWindow,
  ): Promise<PageOfIds> {
    const { condition, values } = matching(filter, 4);
    return this.idsAndTotal(
      `WITH found AS MATERIALIZED (
         SELECT id, ${SORT_KEYS[filter.sortBy]} AS key FROM uploads
         WHERE owner_id = $1 AND state = 'ready' AND ${condition})
       SELECT ARRAY(SELECT id FROM found ${orderBy(filter, 'key')} OFFSET $2 LIMIT $3) AS ids, (SELECT count(*) FROM found) AS total`,
      [owner.id, window.skip, window.limit, ...values],
    );
  }

  private async idsAndTotal(sql: string, parameters: unknown[]): Promise<PageOfIds> {
    const [{ ids, total }] = await this.rows.query<{ ids: string[]; total: string }[]>(sql, parameters);
    return { ids, total: Number(total) };
  }
}

export function orderBy({ sortBy, isDescending }: FilesFilter, key: string = SORT_KEYS[sortBy], id = 'id'): string {
  const direction = isDescending ? 'DESC' : 'ASC';
  return `ORDER BY ${key} ${direction}, ${id} ${direction}`;
}

/** Whether a type is the one asked for, or of the kind. */
export const ofType = (asked: string, parameter: string): string =>
  asked.endsWith('/*') ? `starts_with(content_type, ${parameter})` : `content_type = ${parameter}`;

export const typeValue = (asked: string): string => asked.replace(/\*$/, '').toLowerCase();

/** Whether a file has the term and is of the type; the values of the parameters from the numbered one on. */
export function matching(
  { search, contentType }: { search: string; contentType: string | null },
  first: number,
): { condition: string; values: string[] } {
  const isShort = [...search].length < TRIGRAM_LENGTH;
  const matches = `${isShort ? NAME : TEXT} LIKE lower($${first})`;
  const pattern = `${isShort ? '' : '%'}${escaped(search)}%`;
  if (contentType === null) return { condition: matches, values: [pattern] };
  return {
    condition: `${matches} AND ${ofType(contentType, `$${first + 1}`)}`,
    values: [pattern, typeValue(contentType)],
  };
}
