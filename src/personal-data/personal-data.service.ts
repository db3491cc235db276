import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Injectable, Logger } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { SessionsService } from '../auth/sessions/sessions.service.js';
import { type Principal, sessionOf } from '../common/auth/principal.js';
import { AuditEvent } from '../common/events/audit-event.js';
import { DomainEvents } from '../common/events/domain-events.js';
import { ExportArchive } from './export-archive.js';
import { ExportWriter } from './export-writer.js';
import { ExportInProgressError } from './personal-data.errors.js';

/** How often it is asked, while an archive is sent, whether whoever receives it may still have it. */
const LOOK_MS = 2_000;

/** Everything that is kept of a user, for that user. */
@Injectable()
export class PersonalDataService {
  private readonly logger = new Logger(PersonalDataService.name);
  /** Whose exports this process sends. */
  private readonly underWay = new Set<string>();

  constructor(
    private readonly writer: ExportWriter,
    private readonly sessions: SessionsService,
    private readonly events: DomainEvents,
    @InjectDataSource() private readonly database: DataSource,
  ) {}

  /**
   * Sends the archive while it is made, one of a user's at a time. The target is asked for when nothing stands against it any more; when
   * the archive does not get to its end, it is destroyed, so that nobody takes a part for the whole.
   * @throws ExportInProgressError
   */
  async export(caller: Principal, openTarget: () => Writable): Promise<void> {
    if (this.underWay.has(caller.id)) throw new ExportInProgressError();
    this.underWay.add(caller.id);
    try {
      await this.database.transaction((tx) =>
        this.events.record(tx, AuditEvent.by(caller, 'user.exported', 'user', caller.id)),
      );
      await this.send(caller, openTarget());
    } finally {
      this.underWay.delete(caller.id);
    }
  }

  /** Ends when both sides have: nothing is read any more for a client that has gone, or whose session has ended. */
  private async send(caller: Principal, target: Writable): Promise<void> {
    const gone = new AbortController();
    const archive = new ExportArchive(gone.signal);
    const sending = pipeline(archive.output, target).catch((error: Error) => gone.abort(error));
    const look = async () => {
      if ((await this.sessions.rolesOf([sessionOf(caller)])).size > 0) return;
      gone.abort(new Error('the session has ended'));
      target.destroy();
    };
    // Without a database no session ends either; the next look tells.
    const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
    try {
      await this.writer.write(caller, archive, look);
    } catch (error) {
      archive.fail(error as Error);
      if (archive.fault) this.logger.error(`An export of user ${caller.id} has failed`, archive.fault.stack);
      else this.logger.debug(`An export ended early: ${(error as Error).message}`);
    }
    await sending;
    clearInterval(timer);
  }
}
