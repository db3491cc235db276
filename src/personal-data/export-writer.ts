import { Injectable } from '@nestjs/common';
import { AuditHistoryService } from '../audit/audit-history.service.js';
import { ApiKeysService } from '../auth/keys/api-keys.service.js';
import { SessionResponse } from '../auth/dto/session.response.js';
import { SessionsService } from '../auth/sessions/sessions.service.js';
import { type Principal, sessionOf } from '../common/auth/principal.js';
import { AppConfig } from '../config/app-config.js';
import { FileResponse } from '../uploads/dto/file.response.js';
import { UploadsExportService } from '../uploads/uploads-export.service.js';
import { UserResponse } from '../users/dto/user.response.js';
import { entryNameOf } from './entry-name.js';
import type { ExportArchive } from './export-archive.js';
import { apiKeyDocument, auditDocument, mapped } from './export-documents.js';
import { exportReadme } from './export-readme.js';
import { jsonList } from './json-list.js';

/** More than a user can have. */
const KEYS_MAX = 1_000;

/** What goes into the archive of a user's data, in its order. */
@Injectable()
export class ExportWriter {
  constructor(
    private readonly sessions: SessionsService,
    private readonly keys: ApiKeysService,
    private readonly uploads: UploadsExportService,
    private readonly history: AuditHistoryService,
    private readonly config: AppConfig,
  ) {}

  /** @param beforeFile may end the archive's signal, so that the file is not sent */
  async write(caller: Principal, archive: ExportArchive, beforeFile: () => Promise<void>): Promise<void> {
    const { id, account } = caller;
    const sessionId = sessionOf(caller);
    const { keys } = await this.keys.list(id, { skip: 0, limit: KEYS_MAX });
    await archive.addText('README.txt', [exportReadme(this.config.mail.productName, account.email, new Date())]);
    await archive.addText('profile.json', [`${JSON.stringify(UserResponse.from(account), null, 2)}\n`]);
    const sessions = mapped(this.sessions.eachOwn(id), (session) => SessionResponse.from(session, sessionId));
    await archive.addText('sessions.json', jsonList(sessions));
    await archive.addText('api-keys.json', jsonList(keys.map(apiKeyDocument)));
    await archive.addText('audit-log.json', jsonList(mapped(this.history.entriesOf(id), auditDocument)));
    await this.writeFiles(id, archive, beforeFile);
    archive.end();
  }

  /** Each file of the list is in the archive or among the missing, whatever is deleted or uploaded meanwhile. */
  private async writeFiles(ownerId: string, archive: ExportArchive, beforeFile: () => Promise<void>): Promise<void> {
    const ids: string[] = [];
    const files = mapped(this.uploads.eachOwn(ownerId), (file) => {
      ids.push(file.id);
      return FileResponse.from(file);
    });
    await archive.addText('files.json', jsonList(files));
    const missing: { id: string }[] = [];
    for (const id of ids) {
      await beforeFile();
      const opened = await this.uploads.open(ownerId, id);
      if (!opened) missing.push({ id });
      else {
        const { file, bytes } = opened;
        await archive.addBytes(entryNameOf(id, file.originalFilename), bytes, file.fileSize, file.uploadDate);
      }
    }
    await archive.addText('missing.json', jsonList(missing));
  }
}
