import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { type EntityManager, In, Repository } from 'typeorm';
import type { PageWindow } from '../common/http/page.js';
import { ListReader } from '../database/replicas/list-reader.js';
import { type FilesFilter, matching, ofType, orderBy, SORT_KEYS, typeValue } from './files-list.repository.js';
import { StoredFile } from './stored-file.entity.js';

interface PageOfIds {
  readonly ids: string[];
  readonly total: number;
}

/**
 * Lists of everybody's files: as those of one owner, along indexes of their own (`migrations/…-index-admin-lists`, which says why what is
 * ready is asked for by having no end) and with totals that the database keeps by type (`migrations/…-count-by-month`).
 */
@Injectable()
export class FilesAdminRepository {
  constructor(
    @InjectRepository(StoredFile) private readonly rows: Repository<StoredFile>,
    private readonly lists: ListReader,
  ) {}

  within(source: EntityManager): FilesAdminRepository {
    return new FilesAdminRepository(source.getRepository(StoredFile), this.lists);
  }

  list(filter: FilesFilter, window: PageWindow): Promise<{ files: StoredFile[]; total: number }> {
    return this.lists.read((source) => this.within(source).listHere(filter, window));
  }

  private async listHere(filter: FilesFilter, window: PageWindow): Promise<{ files: StoredFile[]; total: number }> {
    const { ids, total } = await this.page(filter, window);
    const found = await this.rows.findBy({ id: In(ids) });
    const byId = new Map(found.map((file) => [file.id, file]));
    return { files: ids.flatMap((id) => byId.get(id) ?? []), total };
  }

  private page(filter: FilesFilter, window: PageWindow): Promise<PageOfIds> {
    if (filter.search !== null) return this.pageOfMatches({ ...filter, search: filter.search }, window);
    if (filter.contentType !== null) return this.pageOfType(filter.contentType, filter, window);
    return this.pageOfAll(filter, window);
  }

  private pageOfAll(filter: FilesFilter, { skip, limit }: PageWindow): Promise<PageOfIds> {
    return this.idsAndTotal(
      `SELECT ARRAY(SELECT id FROM uploads WHERE expires_at IS NULL ${orderBy(filter)} OFFSET $1 LIMIT $2) AS ids,
              (SELECT coalesce(sum(files), 0) FROM file_type_totals) AS total`,
      [skip, limit],
    );
  }

  /** Of each type that there is and that is asked for, the beginning of its own order; then these are merged. */
  private pageOfType(contentType: string, filter: FilesFilter, { skip, limit }: PageWindow): Promise<PageOfIds> {
    return this.idsAndTotal(
      `WITH types AS MATERIALIZED (
         SELECT content_type, sum(files) AS files FROM file_type_totals WHERE ${ofType(contentType, '$3')}
         GROUP BY content_type HAVING sum(files) > 0)
       SELECT ARRAY(
                SELECT f.id FROM types t CROSS JOIN LATERAL (
                  SELECT id, ${SORT_KEYS[filter.sortBy]} AS key FROM uploads
                  WHERE expires_at IS NULL AND content_type = t.content_type ${orderBy(filter)} LIMIT $1::bigint + $2::bigint) f
                ${orderBy(filter, 'f.key', 'f.id')} OFFSET $1 LIMIT $2) AS ids,
              (SELECT coalesce(sum(files), 0) FROM types) AS total`,
      [skip, limit, typeValue(contentType)],
    );
  }

  /** The matches are found once, for the count and the page. */
  private pageOfMatches(filter: FilesFilter & { search: string }, { skip, limit }: PageWindow): Promise<PageOfIds> {
    const { condition, values } = matching(filter, 3);
    return this.idsAndTotal(
      `WITH found AS MATERIALIZED (
         SELECT id, ${SORT_KEYS[filter.sortBy]} AS key FROM uploads WHERE state = 'ready' AND expires_at IS NULL AND ${condition})
       SELECT ARRAY(SELECT id FROM found ${orderBy(filter, 'key')} OFFSET $1 LIMIT $2) AS ids, (SELECT count(*) FROM found) AS total`,
      [skip, limit, ...values],
    );
  }

  private async idsAndTotal(sql: string, parameters: unknown[]): Promise<PageOfIds> {
    const [{ ids, total }] = await this.rows.query<{ ids: string[]; total: string }[]>(sql, parameters);
    return { ids, total: Number(total) };
  }
}
