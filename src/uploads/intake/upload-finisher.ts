import { createHash } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { ServiceUnavailableError } from '../../common/errors/errors.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import { type FinishedUpload, ReservationsRepository } from '../reservations.repository.js';
import { BlobRemover } from '../storage/blob-remover.js';
import { BlobMissingError, BlobStorage, type BlobWriter } from '../storage/blob-storage.js';
import { isErrno } from '../storage/files.js';
import type { StoredFile } from '../stored-file.entity.js';
import { DiskFullError } from '../uploads.errors.js';
import { UploadCompletedEvent } from '../uploads.events.js';
import type { IncomingFile } from './incoming-file.js';

const RETRY_SECONDS = 2;
const INCOMPLETE = 'The upload could not be completed; please try again';

interface UploadId {
  readonly id: string;
  readonly ownerId: string;
}

/** The last step of every upload, however its bytes came: bytes first, then the row, then the answer. */
@Injectable()
export class UploadFinisher {
  private readonly logger = new Logger(UploadFinisher.name);

  constructor(
    private readonly reservations: ReservationsRepository,
    private readonly storage: BlobStorage,
    private readonly remover: BlobRemover,
    private readonly events: DomainEvents,
  ) {}

  /** Makes the file durable and its owner's. Whoever gets an error calls `abandon()`. */
  async finish(
    file: IncomingFile,
    { id, ownerId, description }: UploadId & { description: string | null },
  ): Promise<StoredFile> {
    const contentType = await file.resolveType();
    const size = file.writer.offset;
    // What was reserved too much is given back while the disk is busy, so that the commit below changes nothing that others wait for.
    const shrinking = this.reservations.shrink(id, ownerId, size);
    // Told below; until then it is nobody's. Whoever cleans up after a failure finds no rename under way.
    shrinking.catch(() => undefined);
    const sha256 = await this.publish(file.writer, id);
    await shrinking;
    const { filename } = file.claims;
    const event = new UploadCompletedEvent({ id, ownerId, filename, contentType, fileSize: size });
    const stored = await this.commit({ id, ownerId, filename, contentType, size, sha256, description }, event);
    if (!stored) throw new ServiceUnavailableError(INCOMPLETE);
    this.events.emit(event);
    return stored;
  }

  /**
   * Removes what a failed upload has left. Whether it has failed is the database's to say: a commit may have gone through although its
   * answer was lost, and then row and bytes stay. What cannot be asked now is the reconciler's.
   */
  async abandon({ id, ownerId }: UploadId, writer: BlobWriter | null): Promise<void> {
    try {
      await writer?.discard();
      const isReleased = await this.reservations.release(id, ownerId);
      // Also when the row went with its owner in the meantime: nobody else knows of the bytes then.
      if (isReleased || !(await this.reservations.exists(id))) await this.remover.remove([id]);
    } catch (error) {
      this.logger.warn(`Upload ${id} could not be removed; the reconciler will: ${(error as Error).message}`);
    }
  }

  /** A full disk, a storage that is away, and bytes that went together with their owner, in the terms of the API. */
  explained(error: unknown): unknown {
    if (error instanceof BlobMissingError) return new ServiceUnavailableError(INCOMPLETE);
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EIO', 'EROFS', 'ESTALE', 'EMFILE', 'ENFILE'))
      return new ServiceUnavailableError('The file storage is temporarily unavailable', {
        retryAfterSeconds: RETRY_SECONDS,
        cause: error,
      });
    return isErrno(error, 'ENOSPC', 'EDQUOT', 'EFBIG') ? new DiskFullError(error) : error;
  }

  /** With whoever writes along in one transaction; alone, the statement is one itself. */
  private async commit(upload: FinishedUpload, event: UploadCompletedEvent): Promise<StoredFile | null> {
    const companion = this.events.companionOf(event);
    if (!this.events.isRecorded(UploadCompletedEvent)) return this.reservations.publish(upload, companion);
    return this.reservations.transaction(async (reservations, tx) => {
      const stored = await reservations.publish(upload, companion);
      if (stored) await this.events.record(tx, event);
      return stored;
    });
  }

  /** A writer that took over from another has not seen all bytes: then they are read once more. */
  private async publish(writer: BlobWriter, id: string): Promise<string> {
    const sha256 = await writer.sha256();
    await writer.publish();
    if (sha256 !== null) return sha256;
    const hash = createHash('sha256');
    for await (const chunk of await this.storage.read(id)) hash.update(chunk as Buffer);
    return hash.digest('hex');
  }
}
