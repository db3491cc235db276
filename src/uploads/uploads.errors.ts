import { AppError } from '../common/errors/app-error.js';
import { ValidationFailedError } from '../common/errors/errors.js';

export class FileNotFoundError extends AppError {
  constructor() {
    super('not_found', 'file_not_found', 'File not found');
  }
}

export class FileTooLargeError extends AppError {
  constructor(maxBytes: number) {
    super('too_large', 'file_too_large', `File size exceeds maximum limit (${readableSize(maxBytes)})`);
  }
}

export class FileTypeNotAllowedError extends AppError {
  constructor() {
    super('unsupported_media_type', 'file_type_not_allowed', 'File type not allowed');
  }
}

/** Name, declared type and content say different things. */
export class FileTypeMismatchError extends AppError {
  constructor() {
    super('unsupported_media_type', 'file_type_mismatch', 'File content does not match its name or declared type');
  }
}

export class QuotaExceededError extends AppError {
  constructor() {
    super('storage_full', 'quota_exceeded', 'Storage quota exceeded');
  }
}

export class DiskFullError extends AppError {
  constructor(cause: unknown) {
    super('storage_full', 'storage_full', 'The storage is full', { cause });
  }
}

/** Altered, expired or never issued; which of these is not told. */
export class LinkInvalidError extends AppError {
  constructor() {
    super('forbidden', 'link_invalid', 'The link is not valid or has expired');
  }
}

export class UploadInterruptedError extends AppError {
  constructor() {
    super('malformed', 'upload_incomplete', 'The upload ended before it was complete');
  }
}

export class UploadStalledError extends AppError {
  constructor() {
    super('timeout', 'upload_stalled', 'The upload made no progress for too long');
  }
}

export class MalformedMultipartError extends AppError {
  constructor() {
    super('malformed', 'malformed_multipart', 'The body is not valid multipart/form-data');
  }
}

export class PreconditionFailedError extends AppError {
  constructor() {
    super('precondition_failed', 'precondition_failed', 'The file does not meet the conditions of the request');
  }
}

export class RangeNotSatisfiableError extends AppError {
  constructor(size: number) {
    super('range_not_satisfiable', 'range_not_satisfiable', 'The file has no bytes in the requested range', {
      headers: { 'content-range': `bytes */${size}` },
    });
  }
}

/** The file is on record, but its bytes could not be found: the storage is not what it was. */
export class FileBytesMissingError extends AppError {
  constructor(cause?: unknown) {
    super('unavailable', 'file_unavailable', 'The file is not available at the moment', { cause });
  }
}

/** Another request is writing to the upload, and has not let go in time. */
export class UploadLockedError extends AppError {
  constructor() {
    super('locked', 'upload_locked', 'Another request is writing to this upload', { retryAfterSeconds: 1 });
  }
}

export class TusVersionError extends AppError {
  constructor(version: string) {
    super('precondition_failed', 'tus_version_unsupported', `Tus-Resumable must be ${version}`, {
      headers: { 'Tus-Version': version, 'Tus-Resumable': version },
    });
  }
}

export class ChecksumMismatchError extends AppError {
  constructor() {
    super('checksum_mismatch', 'checksum_mismatch', 'The bytes do not have the checksum that was sent with them');
  }
}

export class ChecksumUnsupportedError extends AppError {
  constructor() {
    super('malformed', 'checksum_unsupported', 'Upload-Checksum takes sha1, sha256 or md5 and a checksum in base64');
  }
}

export class MissingFileError extends ValidationFailedError {
  constructor() {
    const msg = 'field required';
    super([{ loc: ['body', 'file'], msg, type: 'value_error.missing' }], { file: [msg] });
  }
}

/** The field of the file holds a text: with curl, an `@` was forgotten. */
export class NotAFileError extends ValidationFailedError {
  constructor() {
    const msg = 'must be a file';
    super([{ loc: ['body', 'file'], msg, type: 'type_error.file' }], { file: [msg] });
  }
}

export class SeveralFilesError extends ValidationFailedError {
  constructor() {
    const msg = 'only one file a request';
    super([{ loc: ['body', 'file'], msg, type: 'value_error.too_many_files' }], { file: [msg] });
  }
}

/** A file came in a field that takes none. */
export class UnexpectedFieldError extends ValidationFailedError {
  constructor(name: string) {
    const msg = 'extra fields not permitted';
    super([{ loc: ['body', name], msg, type: 'value_error.extra' }], { [name]: [msg] });
  }
}

/** Whole or with one decimal, in units of 1024: 10485760 → 10MB. */
function readableSize(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${Number((bytes / 1024 ** power).toFixed(1))}${units[power]}`;
}
