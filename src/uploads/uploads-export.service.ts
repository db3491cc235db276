import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { FilesListRepository } from './files-list.repository.js';
import { BlobMissingError, BlobStorage } from './storage/blob-storage.js';
import type { StoredFile } from './stored-file.entity.js';
import { UploadsRepository } from './uploads.repository.js';

const PAGE = 200;

/** Everything that one user has uploaded, for whoever hands it out as a whole. */
@Injectable()
export class UploadsExportService {
  constructor(
    private readonly files: UploadsRepository,
    private readonly lists: FilesListRepository,
    private readonly storage: BlobStorage,
  ) {}

  /** In the order in which they came. A page is all that is kept in memory. */
  async *eachOwn(ownerId: string): AsyncGenerator<StoredFile> {
    for (let last: StoredFile | null = null; ;) {
      const page: StoredFile[] = await this.lists.listAfter(ownerId, last, PAGE);
      yield* page;
      if (page.length < PAGE) return;
      last = page[PAGE - 1];
    }
  }

  /**
   * `null` when the file has been deleted meanwhile, or its bytes are not there or not whole. Whoever takes the bytes reads them to
   * their end or destroys the stream.
   */
  async open(ownerId: string, id: string): Promise<{ file: StoredFile; bytes: Readable } | null> {
    const file = await this.files.find(id, { ownerId });
    const stored = file && (await this.storage.stat(id));
    if (!stored || stored.size !== file.fileSize) return null;
    try {
      return { file, bytes: await this.storage.read(id) };
    } catch (error) {
      if (error instanceof BlobMissingError) return null;
      throw error;
    }
  }
}
