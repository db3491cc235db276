import { pipeline } from 'node:stream/promises';
import type { IncomingMessage } from 'node:http';
import { Injectable, Logger } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { UnsupportedMediaTypeError } from '../../common/errors/errors.js';
import { AppConfig } from '../../config/app-config.js';
import { ReservationsRepository } from '../reservations.repository.js';
import { BlobStorage } from '../storage/blob-storage.js';
import type { StoredFile } from '../stored-file.entity.js';
import { FileTooLargeError, MissingFileError, QuotaExceededError, UploadInterruptedError } from '../uploads.errors.js';
import { fromFormName, toDisplayName } from './file-name.js';
import { refuseEarly } from './file-type.js';
import { validateFields } from './form-fields.js';
import { IncomingFile } from './incoming-file.js';
import { LEASE_SECONDS, LiveUploads } from './live-uploads.js';
import { type FilePart, readMultipart } from './multipart.js';
import { watchProgress } from './progress-guard.js';
import { UploadFinisher } from './upload-finisher.js';

/** A form around a file is no larger: boundaries, headers, the description. */
const ENVELOPE_BYTES_MAX = 64 * 1024;
/** One with a short name and no description. */
const ENVELOPE_BYTES_USUAL = 512;
/** What is reserved for a body that does not tell its length; it grows from here. */
const UNKNOWN_LENGTH_BYTES = 1024 * 1024;

/** An upload in this process: its row, what it has reserved, and its file as soon as there is one. */
interface Pending {
  readonly id: string;
  readonly ownerId: string;
  reserved: number;
  file: IncomingFile | null;
}

/** Receives a file in one request. What it answers with is whole, durable and inside its quota; what fails leaves nothing. */
@Injectable()
export class UploadIntake {
  private readonly logger = new Logger(UploadIntake.name);

  constructor(
    private readonly reservations: ReservationsRepository,
    private readonly storage: BlobStorage,
    private readonly finisher: UploadFinisher,
    private readonly live: LiveUploads,
    private readonly config: AppConfig,
  ) {}

  /**
   * Nothing is read before there is room; `invite` is called then.
   * @throws FileTooLargeError, QuotaExceededError, FileTypeNotAllowedError, FileTypeMismatchError, ValidationFailedError…
   */
  async receive(ownerId: string, request: IncomingMessage, invite: () => void): Promise<StoredFile> {
    if (!/^multipart\/form-data\s*(;|$)/i.test(request.headers['content-type'] ?? ''))
      throw new UnsupportedMediaTypeError('The body must be multipart/form-data');
    const progress = watchProgress(request, this.config.http.requestTimeoutSeconds);
    try {
      const pending = await this.reserve(ownerId, declaredLength(request));
      return await this.receiveInto(pending, request, invite, progress.failed);
    } finally {
      progress.stop();
    }
  }

  private async receiveInto(
    pending: Pending,
    request: IncomingMessage,
    invite: () => void,
    interrupted: Promise<never>,
  ): Promise<StoredFile> {
    this.live.add(pending.id);
    try {
      invite();
      const fields = await readMultipart(request, (part) => this.takeFile(pending, part), interrupted);
      const { description } = await validateFields(fields);
      if (!pending.file || pending.file.isNothing) throw new MissingFileError();
      return await this.finisher.finish(pending.file, { ...pending, description: description ?? null });
    } catch (error) {
      await this.finisher.abandon(pending, pending.file?.writer ?? null);
      throw this.finisher.explained(error);
    } finally {
      this.live.delete(pending.id);
    }
  }

  /** The length of the form is a little more than the file's: at the edge of a quota less is asked for first, and the rest as it comes. */
  private async reserve(ownerId: string, length: number | null): Promise<Pending> {
    const { maxFileBytes } = this.config.uploads;
    if (length !== null && length > maxFileBytes + ENVELOPE_BYTES_MAX) throw new FileTooLargeError(maxFileBytes);
    const expected = length ?? UNKNOWN_LENGTH_BYTES;
    const envelopes = [0, ENVELOPE_BYTES_USUAL, length === null ? expected : ENVELOPE_BYTES_MAX];
    const id = uuidv7();
    for (const envelope of envelopes) {
      const bytes = Math.min(Math.max(0, expected - envelope), maxFileBytes);
      if (await this.reservations.reserve({ id, ownerId, bytes, ttlSeconds: LEASE_SECONDS }))
        return { id, ownerId, reserved: bytes, file: null };
    }
    throw await this.quotaExceeded(Math.max(0, expected - ENVELOPE_BYTES_MAX));
  }

  private async takeFile(pending: Pending, { stream, filename, declaredType }: FilePart): Promise<void> {
    const { maxFileBytes: maxBytes, allowedTypes } = this.config.uploads;
    const claims = { filename: toDisplayName(fromFormName(filename)), declaredType, isUnnamed: !filename };
    refuseEarly(claims.declaredType, claims.filename, allowedTypes);
    const rules = { maxBytes, allowedTypes, reserve: (size: number) => this.ensureReserved(pending, size) };
    pending.file = new IncomingFile(await this.storage.write(pending.id), claims, rules);
    // The form was refused while the file was being opened; a pipeline would wait for ever for what has been destroyed.
    if (stream.destroyed) throw new UploadInterruptedError();
    await pipeline(stream, pending.file.sink(this.live.count));
  }

  /** Grows in large steps, so that a long body costs few queries; at the edge of a quota by what is needed. */
  private async ensureReserved(pending: Pending, size: number): Promise<void> {
    if (size <= pending.reserved) return;
    const generous = Math.min(Math.max(size, 2 * pending.reserved), this.config.uploads.maxFileBytes);
    for (const bytes of new Set([generous, size])) {
      if (await this.reservations.grow(pending.id, pending.ownerId, pending.reserved, bytes)) {
        pending.reserved = bytes;
        return;
      }
    }
    throw await this.quotaExceeded(size - pending.reserved);
  }

  private async quotaExceeded(bytes: number): Promise<QuotaExceededError> {
    if (await this.reservations.isStorageExhausted(bytes))
      this.logger.warn('An upload was refused: the files of all users have reached STORAGE_QUOTA');
    return new QuotaExceededError();
  }
}

/** `null` for a chunked body. The server has refused a length that is no number. */
function declaredLength({ headers }: IncomingMessage): number | null {
  return headers['content-length'] === undefined ? null : Number(headers['content-length']);
}
