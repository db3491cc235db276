import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsString, Matches } from 'class-validator';
import { PageQuery } from '../../common/http/page.js';
import type { FilesFilter } from '../files-list.repository.js';
import { Optional, SearchField, TextLength } from '../../common/validation/fields.js';

export const FILE_SORTS = ['upload_date', 'filename', 'file_size'] as const;
export type FileSort = (typeof FILE_SORTS)[number];
export const SORT_ORDERS = ['asc', 'desc'] as const;
export type SortOrder = (typeof SORT_ORDERS)[number];

export class FilesQuery extends PageQuery {
  @SearchField('Any part of a filename or description; one or two characters match the beginning of a filename')
  search?: string;

  @ApiPropertyOptional({
    type: String,
    maxLength: 127,
    description: 'A MIME type like `image/png`, or all of a kind: `image/*`',
  })
  @Optional()
  @IsString()
  @TextLength(0, 127)
  @Matches(/^[\w.+-]+\/([\w.+-]+|\*)$/, { message: 'content_type must be a MIME type like image/png or image/*' })
  content_type?: string;

  @ApiPropertyOptional({ enum: FILE_SORTS, default: 'upload_date' })
  @Optional()
  @IsIn(FILE_SORTS)
  sort_by: FileSort = 'upload_date';

  @ApiPropertyOptional({ enum: SORT_ORDERS, default: 'desc' })
  @Optional()
  @IsIn(SORT_ORDERS)
  sort_order: SortOrder = 'desc';

  filter(): FilesFilter {
    return {
      search: this.search?.trim() || null,
      contentType: this.content_type ?? null,
      sortBy: this.sort_by,
      isDescending: this.sort_order === 'desc',
    };
  }
}
