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

/** What the owner's own row knows without counting. */
interface Owner {
  readonly id: string;
  readonly totalUploads: number;
}

interface PageOfIds {
  readonly ids: string[];
  readonly total: number;
}

const NAME = `(lower(filename) COLLATE "C")`;
const SORT_KEYS = { upload_date: 'upload_date', filename: NAME, file_size: 'file_size' } as const;
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
      WHERE owner_id = $1 AND files > 0 AND ${contentType.endsWith('/*') ? 'starts_with(content_type, $4)' : 'content_type = $4'}`;
    return this.idsAndTotal(
      `SELECT ARRAY(
                SELECT f.id FROM (${types}) t CROSS JOIN LATERAL (
                  SELECT id, ${SORT_KEYS[filter.sortBy]} AS key FROM uploads
                  WHERE owner_id = $1 AND state = 'ready' AND content_type = t.content_type ${orderBy(filter)} LIMIT $2::bigint + $3::bigint) f
                ${orderBy(filter, 'f.key', 'f.id')} OFFSET $2 LIMIT $3) AS ids,
              (SELECT coalesce(sum(files), 0) FROM (${types}) t) AS total`,
      [owner.id, window.skip, window.limit, contentType.replace(/\*$/, '').toLowerCase()],
    );
  }

  /** The matches are found once, by trigrams and owner together, for the count and the page. */
  private pageOfMatches(
    owner: Owner,
    filter: FilesFilter & { search: string },
    window: PageWindow,
  ): Promise<PageOfIds> {
    const isShort = [...filter.search].length < TRIGRAM_LENGTH;
    const matches = isShort ? `${NAME} LIKE lower($4)` : `${TEXT} LIKE lower($4)`;
    const parameters: unknown[] = [
      owner.id,
      window.skip,
      window.limit,
      `${isShort ? '' : '%'}${escaped(filter.search)}%`,
    ];
    const type = filter.contentType?.toLowerCase();
    if (type) parameters.push(type.replace(/\*$/, ''));
    const ofType = !type ? '' : type.endsWith('/*') ? 'AND starts_with(content_type, $5)' : 'AND content_type = $5';
    return this.idsAndTotal(
      `WITH found AS MATERIALIZED (
         SELECT id, ${SORT_KEYS[filter.sortBy]} AS key FROM uploads
         WHERE owner_id = $1 AND state = 'ready' AND ${matches} ${ofType})
       SELECT ARRAY(SELECT id FROM found ${orderBy(filter, 'key')} OFFSET $2 LIMIT $3) AS ids, (SELECT count(*) FROM found) AS total`,
      parameters,
    );
  }

  private async idsAndTotal(sql: string, parameters: unknown[]): Promise<PageOfIds> {
    const [{ ids, total }] = await this.rows.query<{ ids: string[]; total: string }[]>(sql, parameters);
    return { ids, total: Number(total) };
  }
}

function orderBy({ sortBy, isDescending }: FilesFilter, key: string = SORT_KEYS[sortBy], id = 'id'): string {
  const direction = isDescending ? 'DESC' : 'ASC';
  return `ORDER BY ${key} ${direction}, ${id} ${direction}`;
}
