import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { BlobRemover } from '../storage/blob-remover.js';
import { BlobStorage } from '../storage/blob-storage.js';
import { type Finding, keyOf, StorageInspector } from './storage-inspector.js';
import { type KnownUpload, UpkeepRepository } from './upkeep.repository.js';

/** Often enough that what a killed process left is gone within a minute of the next start. */
const SWEEP_MS = 10_000;
/** Between two comparisons of storage and database. */
const COMPARE_MS = 6 * 60 * 60 * 1000;
/** Something odd is touched only when a second comparison, so much later, has found it again. */
const SECOND_LOOK_MS = 20_000;
/** Bytes that are younger belong to whoever is writing them. */
const ORPHAN_AGE_MIN_MS = 15_000;
/** A crash leaves a few. More than this is no crash but the wrong storage or database, and not for a program to clean up. */
const REMOVALS_MAX = 1_000;
/** No crash leaves a file without bytes; a few may be a disk's fault. */
const MISSING_MAX = 10;
const BATCH = 100;

/**
 * Removes what killed processes have left, and nothing else: uploads that nobody works on any more, bytes that no row owns, rows whose
 * bytes are gone. What looks so must be old enough, be found twice, and be so still when its row is locked. Each removal is logged.
 */
@Injectable()
export class Reconciler implements OnApplicationShutdown {
  private readonly logger = new Logger(Reconciler.name);
  private timer: NodeJS.Timeout | null = null;
  private running: Promise<void> | null = null;
  private nextComparisonAt = 0;
  /** What the last comparison found: seen once. */
  private suspects = new Set<string>();
  private isStopped = false;

  constructor(
    private readonly repository: UpkeepRepository,
    private readonly inspector: StorageInspector,
    private readonly storage: BlobStorage,
    private readonly remover: BlobRemover,
  ) {}

  /** At the start of a server, and from then on; other commands of the program leave the storage as it is. */
  start(): void {
    this.run();
    this.timer = setInterval(() => this.run(), SWEEP_MS).unref();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopped = true;
    if (this.timer) clearInterval(this.timer);
    await this.running;
  }

  /** What has expired or is on the list of removals: decided already, by the database. */
  async sweep(): Promise<void> {
    for (let batch = BATCH; batch === BATCH && !this.isStopped;) {
      const expired = await this.repository.deleteExpired(BATCH);
      for (const { id, ownerId, bytes } of expired)
        this.logger.log(`Removed the unfinished upload ${id} of user ${ownerId}, which held ${bytes} bytes`);
      batch = expired.length;
    }
    await this.remover.removeAll();
  }

  /** Compares storage and database; removes what was found odd the time before and is so still. Answers whether a second look is due. */
  async compare(): Promise<boolean> {
    const findings = new Map<string, Finding>();
    let missing = 0;
    for await (const finding of this.inspector.inspect()) {
      if (this.isStopped) return false;
      if (finding.kind === 'damaged')
        this.logger.error(`File ${finding.file.id} has ${finding.size} bytes instead of ${finding.file.size}`);
      if (finding.kind === 'missing' || finding.kind === 'orphan') findings.set(nameOf(finding), finding);
      if (finding.kind === 'missing') missing++;
      if (findings.size > REMOVALS_MAX || missing > MISSING_MAX) {
        this.logger.error(
          `Storage and database disagree about more than ${missing > MISSING_MAX ? MISSING_MAX : REMOVALS_MAX} files: nothing is removed. Is it the right storage? See npm run storage:check`,
        );
        this.suspects.clear();
        return false;
      }
    }
    const confirmed = [...findings].filter(([name, finding]) => this.suspects.has(name) && isOldEnough(finding));
    this.suspects = new Set(findings.keys());
    for (const [name, finding] of confirmed) {
      await this.remove(finding);
      this.suspects.delete(name);
    }
    await this.remover.removeAll();
    return this.suspects.size > 0;
  }

  private run(): void {
    this.running ??= this.sweepAndCompare().finally(() => (this.running = null));
  }

  private async sweepAndCompare(): Promise<void> {
    try {
      await this.sweep();
      if (Date.now() < this.nextComparisonAt) return;
      const needsSecondLook = await this.compare();
      this.nextComparisonAt = Date.now() + (needsSecondLook ? SECOND_LOOK_MS : COMPARE_MS);
    } catch (error) {
      this.logger.error(
        'Storage and database could not be compared; the next sweep tries again',
        error instanceof Error ? error.stack : String(error),
      );
    }
  }

  /** Removes what a finding is about, if the database still agrees. */
  async remove(finding: Finding): Promise<void> {
    if (finding.kind === 'orphan' && (await this.repository.listOrphan(finding.key)))
      this.logger.log(`Removed ${finding.size} bytes under ${finding.key}, which no file owns`);
    if (finding.kind === 'missing') await this.removeWithoutBytes(finding.file);
  }

  private async removeWithoutBytes(file: KnownUpload): Promise<void> {
    const hasBytes = async () => (await this.storage.stat(file.id)) !== null;
    if (await this.repository.deleteWithoutBytes(file, hasBytes))
      this.logger.error(
        `Removed file ${file.id} of user ${file.ownerId}: its ${file.size} bytes are not in the storage`,
      );
  }
}

/** Bytes without a row may be on their way. */
export const isOldEnough = (finding: Finding) =>
  finding.kind !== 'orphan' || Date.now() - finding.modifiedAt.getTime() > ORPHAN_AGE_MIN_MS;

const nameOf = (finding: Finding) => `${finding.kind} ${keyOf(finding)}`;
