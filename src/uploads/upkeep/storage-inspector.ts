import { Injectable } from '@nestjs/common';
import { isId } from '../../common/validation/id.pipe.js';
import { BlobStorage } from '../storage/blob-storage.js';
import { type KnownUpload, UpkeepRepository } from './upkeep.repository.js';

/** Where database and storage disagree. */
export type Finding =
  /** Bytes that no row owns. */
  | { readonly kind: 'orphan'; readonly key: string; readonly size: number; readonly modifiedAt: Date }
  /** A file without bytes. */
  | { readonly kind: 'missing'; readonly file: KnownUpload }
  /** A file whose bytes are more or fewer than they were. */
  | { readonly kind: 'damaged'; readonly file: KnownUpload; readonly size: number }
  /** Something in the storage that Gatehouse has not put there. */
  | { readonly kind: 'foreign'; readonly key: string };

/** What a finding is about: an id, or what somebody else has called it. */
export const keyOf = (finding: Finding): string => ('key' in finding ? finding.key : finding.file.id);

const PAGE = 500;

/** Compares storage and database in pages, so that neither memory nor the event loop notices how many files there are. */
@Injectable()
export class StorageInspector {
  constructor(
    private readonly storage: BlobStorage,
    private readonly repository: UpkeepRepository,
  ) {}

  async *inspect(): AsyncIterable<Finding> {
    yield* this.inspectBlobs();
    yield* this.inspectFiles();
  }

  /** Files come and go while one looks: whether a finding is one still. */
  async isStillSo(finding: Finding): Promise<boolean> {
    if (finding.kind === 'foreign') return true;
    const id = keyOf(finding);
    const row = (await this.repository.findKnown([id])).get(id);
    if (finding.kind === 'orphan') return !row && !(await this.repository.isToBeRemoved(id));
    const blob = await this.storage.stat(id);
    return row !== undefined && (finding.kind === 'missing' ? !blob : blob?.size === finding.size);
  }

  private async *inspectBlobs(): AsyncIterable<Finding> {
    for await (const page of this.storage.list()) {
      const known = await this.repository.findKnown(page.map(({ key }) => key).filter(isId));
      for (const { key, size, modifiedAt, isUnfinished } of page) {
        const file = known.get(key);
        if (!isId(key)) yield { kind: 'foreign', key };
        else if (!file) yield { kind: 'orphan', key, size, modifiedAt };
        else if (file.state === 'ready' && !isUnfinished && file.size !== size) yield { kind: 'damaged', file, size };
      }
    }
  }

  private async *inspectFiles(): AsyncIterable<Finding> {
    for await (const page of this.repository.readyFiles(PAGE)) {
      const missing = new Set(await this.storage.findMissing(page.map(({ id }) => id)));
      for (const file of page) if (missing.has(file.id)) yield { kind: 'missing', file };
    }
  }
}
