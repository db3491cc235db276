import { Injectable } from '@nestjs/common';
import { isOldEnough, Reconciler } from './reconciler.js';
import { type Finding, StorageInspector } from './storage-inspector.js';
import { UpkeepRepository } from './upkeep.repository.js';

/** Of each kind so many are told one by one. */
const SHOWN_MAX = 20;

const KINDS = {
  orphan: 'bytes that no file owns',
  missing: 'files without bytes',
  damaged: 'files of the wrong size',
  foreign: 'things that are not ours',
} satisfies Record<Finding['kind'], string>;

interface Report {
  readonly counts: Record<Finding['kind'], number>;
  readonly shown: string[];
}

/** `gatehouse storage:check`: everything that the reconciler looks for, and the sums that the database keeps, as a report. */
@Injectable()
export class StorageCheck {
  constructor(
    private readonly inspector: StorageInspector,
    private readonly repository: UpkeepRepository,
    private readonly reconciler: Reconciler,
  ) {}

  /** With `isRepair` removes left-overs, as the reconciler does, but without its upper limit: here somebody has decided it. */
  async run(isRepair: boolean): Promise<{ lines: string[]; isClean: boolean }> {
    const expired = await this.repository.countExpired();
    const removed = await this.repository.countRemovedBlobs();
    const { counts, shown } = await this.inspect(isRepair);
    const drifted = await this.repository.findDriftedSums();
    if (isRepair) await this.reconciler.sweep();
    const rows: [what: string, count: number][] = [
      ['uploads that nobody goes on with', expired],
      ['removed files whose bytes are still there', removed],
      ...(Object.keys(KINDS) as Finding['kind'][]).map((kind): [string, number] => [KINDS[kind], counts[kind]]),
      ['sums that are not what the rows add up to', drifted.length],
    ];
    // These two are on their way out by themselves; foreign things are the operator's own.
    const isClean = counts.orphan + counts.missing + counts.damaged + drifted.length === 0;
    return {
      isClean,
      lines: [
        ...rows.map(([what, count]) => `${String(count).padStart(8)}  ${what}`),
        ...shown.map((line) => `  ${line}`),
        ...drifted.slice(0, SHOWN_MAX).map(({ what, kept, counted }) => `  ${what}: ${kept}; counted: ${counted}`),
        this.conclusion(isClean, isRepair),
      ],
    };
  }

  private conclusion(isClean: boolean, isRepair: boolean): string {
    if (isClean) return 'Storage and database agree.';
    return isRepair
      ? 'Left-overs were removed; files of the wrong size and sums are for you to look at.'
      : 'Nothing was changed. With --repair, left-overs and files without bytes are removed.';
  }

  private async inspect(isRepair: boolean): Promise<Report> {
    const counts = { orphan: 0, missing: 0, damaged: 0, foreign: 0 };
    const shown: string[] = [];
    for await (const finding of this.inspector.inspect()) {
      if (!isOldEnough(finding) || !(await this.inspector.isStillSo(finding))) continue;
      if (++counts[finding.kind] <= SHOWN_MAX) shown.push(describe(finding));
      if (isRepair) await this.reconciler.remove(finding);
    }
    return { counts, shown };
  }
}

function describe(finding: Finding): string {
  switch (finding.kind) {
    case 'orphan':
      return `${finding.key}: ${finding.size} bytes of ${finding.modifiedAt.toISOString()} that no file owns`;
    case 'missing':
      return `${finding.file.id} of user ${finding.file.ownerId}: its ${finding.file.size} bytes are missing`;
    case 'damaged':
      return `${finding.file.id} of user ${finding.file.ownerId}: ${finding.size} bytes instead of ${finding.file.size}`;
    case 'foreign':
      return `${finding.key}: not ours`;
  }
}
