/** What others may know of a file. */
export interface UploadedFile {
  readonly id: string;
  readonly ownerId: string;
  readonly filename: string;
  readonly contentType: string;
  readonly fileSize: number;
}

/** A file is whole, durable and its owner's. */
export class UploadCompletedEvent {
  static readonly event = 'upload.completed';
  constructor(readonly file: UploadedFile) {}
}

/** A file was deleted by its owner or an admin; files that go with their owner's account are not told one by one. */
export class UploadDeletedEvent {
  static readonly event = 'upload.deleted';
  constructor(
    readonly file: Pick<UploadedFile, 'id' | 'ownerId'>,
    readonly deletedBy: string,
  ) {}
}
