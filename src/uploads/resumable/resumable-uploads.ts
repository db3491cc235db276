import { AsyncLocalStorage } from 'node:async_hooks';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import { Injectable, Logger } from '@nestjs/common';
import { DataStore, Upload } from '@tus/utils';
import { AppError } from '../../common/errors/app-error.js';
import { AppConfig } from '../../config/app-config.js';
import { toDisplayName } from '../intake/file-name.js';
import { refuseEarly } from '../intake/file-type.js';
import { validateFields } from '../intake/form-fields.js';
import { IncomingFile } from '../intake/incoming-file.js';
import { LiveUploads } from '../intake/live-uploads.js';
import { TextCheck, type TextCheckState } from '../intake/text-check.js';
import { UploadFinisher } from '../intake/upload-finisher.js';
import { ReservationsRepository, type ResumableUpload } from '../reservations.repository.js';
import { BlobMissingError, BlobStorage, type BlobWriter, type ResumeState } from '../storage/blob-storage.js';
import { FileNotFoundError, QuotaExceededError } from '../uploads.errors.js';
import { Checksum } from './checksum.js';

/** What is lost of a request when the process is killed; what it takes to bring this to the disk costs little beside. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024;

/** Who calls, which the protocol's library does not pass on. */
export interface ResumableCall {
  readonly ownerId: string;
  readonly checksum: Checksum | null;
  /** Lets the client send the body. */
  readonly invite: () => void;
  /** Rejects when the body stops coming. */
  readonly interrupted: Promise<never>;
  /** The upload that this call has created. */
  createdId?: string;
  /** What is still being brought to an end; the library answers a failure without waiting for it. */
  writing?: Promise<unknown>;
  /** What our side has thrown, since the library keeps only a number and a text of it. */
  error?: unknown;
}

/** What is kept with a checkpoint: the storage's part, and how far the text check is. */
interface KeptState extends Record<string, unknown> {
  readonly storage: ResumeState;
  readonly text: TextCheckState;
}

/**
 * Resumable uploads behind the tus library: a row that holds the whole reservation from the beginning, bytes in the storage, and in the
 * row how many of them are durable. An offset that a client was told is never taken back, whatever is killed.
 */
@Injectable()
export class ResumableUploads extends DataStore {
  override extensions = ['creation', 'creation-with-upload', 'expiration', 'termination', 'checksum'];
  readonly calls = new AsyncLocalStorage<ResumableCall>();
  private readonly logger = new Logger(ResumableUploads.name);

  constructor(
    private readonly reservations: ReservationsRepository,
    private readonly storage: BlobStorage,
    private readonly finisher: UploadFinisher,
    private readonly live: LiveUploads,
    private readonly config: AppConfig,
  ) {
    super();
  }

  /** @throws QuotaExceededError, FileTypeNotAllowedError, ValidationFailedError */
  override async create(upload: Upload): Promise<Upload> {
    const { allowedTypes, resumableSeconds: ttlSeconds } = this.config.uploads;
    const { filename: name, filetype, name: otherName, type, description: given } = upload.metadata ?? {};
    const { description } = await validateFields(given ? { description: given } : {});
    const filename = toDisplayName(name ?? otherName ?? undefined);
    const contentType = (filetype ?? type ?? '').slice(0, 127);
    refuseEarly(contentType, filename, allowedTypes);
    const isReserved = await this.reservations.reserve({
      id: upload.id,
      ownerId: this.call.ownerId,
      bytes: upload.size ?? 0,
      ttlSeconds,
      resumable: { filename, contentType, description: description ?? null },
    });
    if (!isReserved) throw new QuotaExceededError();
    this.call.createdId = upload.id;
    upload.creation_date = new Date().toISOString();
    if (upload.size === 0) await this.getUpload(upload.id);
    return upload;
  }

  /** How far an upload is. One whose last byte came just before a crash becomes a file now. @throws FileNotFoundError */
  override async getUpload(id: string): Promise<Upload> {
    const upload = await this.find(id);
    if (!upload.isReady && upload.received.offset === upload.size) await this.finish(upload, await this.open(upload));
    return new Upload({
      id,
      size: upload.size,
      offset: upload.isReady ? upload.size : upload.received.offset,
      metadata: {
        filename: upload.filename,
        ...(upload.contentType && { filetype: upload.contentType }),
        ...(upload.description && { description: upload.description }),
      },
      // The library counts from the creation; an upload ends so long after its last progress.
      creation_date: upload.expiresAt
        ? new Date(upload.expiresAt.getTime() - this.getExpiration()).toISOString()
        : undefined,
    });
  }

  /** Takes what comes and keeps it, even if it ends early. With the last byte the upload becomes a file, before the answer. */
  override write(stream: Readable, id: string, offset: number): Promise<number> {
    const writing = this.take(stream, id, offset)
      .catch((error: unknown) => {
        throw this.finisher.explained(error);
      })
      .finally(() => this.live.delete(id));
    this.call.writing = writing.catch(() => undefined);
    return writing;
  }

  private async take(stream: Readable, id: string, offset: number): Promise<number> {
    const upload = await this.find(id);
    if (upload.isReady) return upload.size;
    this.live.add(id);
    const { checksum, invite, interrupted } = this.call;
    let recorded = offset;
    const keep = async () => {
      const { offset: reached, state } = await file.writer.checkpoint();
      const kept: KeptState = { storage: state, text: file.text.state };
      const point = { offset: reached, state: kept };
      if (!(await this.reservations.recordProgress(id, recorded, point, this.config.uploads.resumableSeconds)))
        throw new FileNotFoundError();
      recorded = reached;
    };
    const file = await this.open(upload, async (size) => {
      // Nothing of a body with a checksum is kept before the checksum is known to be right.
      if (!checksum && size - recorded >= CHECKPOINT_BYTES) await keep();
    });
    const sink = file.sink(this.live.count);
    interrupted.catch((error: Error) => sink.destroy(error));
    invite();
    try {
      await pipeline([stream, ...(checksum ? [checksum.meter()] : []), sink]);
      checksum?.verify();
    } catch (error) {
      await this.giveUp(error, upload, file, checksum ? null : keep);
      throw error;
    }
    await keep();
    if (file.writer.offset === upload.size) await this.finish(upload, file);
    else await file.writer.close();
    return file.writer.offset;
  }

  /** @throws FileNotFoundError */
  override async remove(id: string): Promise<void> {
    const upload = await this.find(id);
    if (upload.isReady) throw new FileNotFoundError();
    await this.finisher.abandon(upload, null);
  }

  override getExpiration(): number {
    return this.config.uploads.resumableSeconds * 1000;
  }

  private async finish(upload: ResumableUpload, file: IncomingFile): Promise<void> {
    try {
      await this.finisher.finish(file, upload);
    } catch (error) {
      await this.giveUp(error, upload, file, null);
      throw this.finisher.explained(error);
    }
  }

  /** An upload that can never become a file is removed at once; any other stays as far as it has come, to be taken up again. */
  private async giveUp(
    error: unknown,
    upload: ResumableUpload,
    file: IncomingFile,
    keep: (() => Promise<void>) | null,
  ): Promise<void> {
    if (error instanceof AppError && ['unsupported_media_type', 'too_large'].includes(error.kind))
      return this.finisher.abandon(upload, file.writer);
    await file.settled();
    try {
      await keep?.();
    } catch (failure) {
      this.logger.debug(`Upload ${upload.id} goes on from its last checkpoint: ${(failure as Error).message}`);
    }
    await file.writer.close();
  }

  private async find(id: string): Promise<ResumableUpload> {
    const upload = await this.reservations.findResumable(id, this.call.ownerId);
    if (!upload) throw new FileNotFoundError();
    return upload;
  }

  private async open(upload: ResumableUpload, onWritten?: (size: number) => Promise<void>): Promise<IncomingFile> {
    const { maxFileBytes: maxBytes, allowedTypes } = this.config.uploads;
    const { storage: state = null, text } = (upload.received.state ?? {}) as Partial<KeptState>;
    const writer = await this.openWriter(upload, state);
    const claims = { filename: upload.filename, declaredType: upload.contentType || undefined };
    return new IncomingFile(writer, claims, { maxBytes, allowedTypes, onWritten }, text && TextCheck.from(text));
  }

  /** An upload whose bytes are lost cannot be gone on with: the client is told to begin anew. */
  private async openWriter(upload: ResumableUpload, state: ResumeState): Promise<BlobWriter> {
    try {
      return await this.storage.write(upload.id, { offset: upload.received.offset, state });
    } catch (error) {
      if (!(error instanceof BlobMissingError)) throw error;
      this.logger.error(`The bytes of the unfinished upload ${upload.id} of user ${upload.ownerId} are lost`);
      await this.finisher.abandon(upload, null);
      throw new FileNotFoundError();
    }
  }

  private get call(): ResumableCall {
    const call = this.calls.getStore();
    if (!call) throw new Error('A resumable upload was called without a caller');
    return call;
  }
}
