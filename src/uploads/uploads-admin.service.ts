import { Injectable } from '@nestjs/common';
import type { PageWindow } from '../common/http/page.js';
import { FilesAdminRepository } from './files-admin.repository.js';
import { type FilesFilter, FilesListRepository } from './files-list.repository.js';
import type { StoredFile } from './stored-file.entity.js';

/** What administrators ask about files. They read and delete them like everybody, by `UploadsService`. */
@Injectable()
export class UploadsAdminService {
  constructor(
    private readonly everybodys: FilesAdminRepository,
    private readonly owners: FilesListRepository,
  ) {}

  /** Everybody's, or one owner's; an owner that there is not has none. */
  list(
    ownerId: string | null,
    filter: FilesFilter,
    window: PageWindow,
  ): Promise<{ files: StoredFile[]; total: number }> {
    return ownerId === null ? this.everybodys.list(filter, window) : this.owners.list({ id: ownerId }, filter, window);
  }
}
