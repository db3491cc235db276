import { Injectable } from '@nestjs/common';
import type { Principal } from '../common/auth/principal.js';
import { AuditEvent } from '../common/events/audit-event.js';
import { DomainEvents } from '../common/events/domain-events.js';
import type { PageWindow } from '../common/http/page.js';
import { isId } from '../common/validation/id.pipe.js';
import { toDisplayName } from './intake/file-name.js';
import { type FilesFilter, FilesListRepository } from './files-list.repository.js';
import { BlobRemover } from './storage/blob-remover.js';
import { fileHash, type StoredFile } from './stored-file.entity.js';
import { FileNotFoundError } from './uploads.errors.js';
import { UploadDeletedEvent } from './uploads.events.js';
import { type DeletedFile, type FileScope, UploadsRepository } from './uploads.repository.js';

/** Admins read and delete any file; others reach their own, and somebody else's is as good as missing. */
const scopeOf = ({ id, role }: Principal): FileScope => (role === 'admin' ? 'all' : { ownerId: id });

@Injectable()
export class UploadsService {
  constructor(
    private readonly files: UploadsRepository,
    private readonly lists: FilesListRepository,
    private readonly remover: BlobRemover,
    private readonly events: DomainEvents,
  ) {}

  /** @throws FileNotFoundError */
  async get(caller: Principal, id: string): Promise<StoredFile> {
    return found(await this.files.find(id, scopeOf(caller)));
  }

  /** For whoever has a link to it: ends with the file, and with its owner's account. @throws FileNotFoundError */
  async getLinked(id: string): Promise<StoredFile> {
    return found(await this.files.findOfActiveOwner(id));
  }

  listOwn(caller: Principal, filter: FilesFilter, window: PageWindow): Promise<{ files: StoredFile[]; total: number }> {
    return this.lists.list(caller.account, filter, window);
  }

  /** For the owner alone. @throws FileNotFoundError */
  async update(
    caller: Principal,
    id: string,
    changes: { filename?: string; description?: string | null },
  ): Promise<StoredFile> {
    const { filename, description } = changes;
    if (filename === undefined && description === undefined)
      return found(await this.files.find(id, { ownerId: caller.id }));
    return found(
      await this.files.update(id, caller.id, {
        ...(filename !== undefined && { filename: toDisplayName(filename) }),
        ...(description !== undefined && { description }),
      }),
    );
  }

  /** @throws FileNotFoundError */
  async delete(caller: Principal, id: string): Promise<void> {
    const deleted = await this.deleteMany(caller, [id]);
    if (deleted.length === 0) throw new FileNotFoundError();
  }

  /** Deletes what it can and says what it could not. An id that is none names nothing. */
  async deleteAll(
    caller: Principal,
    given: readonly string[],
  ): Promise<{ deleted: string[]; failed: { id: string; code: string }[] }> {
    const ids = [...new Set(given.map((id) => (isId(id) ? id.toLowerCase() : id)))];
    const deleted = new Set(await this.deleteMany(caller, ids.filter(isId)));
    const { code } = new FileNotFoundError();
    return {
      deleted: ids.filter((id) => deleted.has(id)),
      failed: ids.filter((id) => !deleted.has(id)).map((id) => ({ id, code })),
    };
  }

  /** The rows go first: a file without bytes is worse than bytes without a file. */
  private async deleteMany(caller: Principal, ids: readonly string[]): Promise<string[]> {
    const deleted = await (caller.role === 'admin'
      ? this.deleteAudited(caller, ids)
      : this.files.delete(ids, scopeOf(caller)));
    if (deleted.length === 0) return [];
    for (const { id, ownerId } of deleted) this.events.emit(new UploadDeletedEvent({ id, ownerId }, caller.id));
    const deletedIds = deleted.map(({ id }) => id);
    await this.remover.remove(deletedIds);
    return deletedIds;
  }

  /** What an admin takes from others is written into the audit log together with its going. */
  private deleteAudited(caller: Principal, ids: readonly string[]): Promise<DeletedFile[]> {
    return this.files.transaction(async (files, tx) => {
      const deleted = await files.delete(ids, scopeOf(caller));
      for (const file of deleted.filter(({ ownerId }) => ownerId !== caller.id))
        await this.events.record(tx, AuditEvent.by(caller, 'file.deleted', 'file', file.id, lastKnownOf(file)));
      return deleted;
    });
  }
}

/** Of what is gone for good, the log has to tell what it was. */
const lastKnownOf = (file: DeletedFile) => ({
  owner_id: file.ownerId,
  filename: file.filename,
  file_size: file.fileSize,
  file_hash: fileHash(file),
});

function found(file: StoredFile | null): StoredFile {
  if (!file) throw new FileNotFoundError();
  return file;
}
