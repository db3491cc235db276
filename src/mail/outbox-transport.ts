import { access, constants, mkdir, open, rename } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Logger } from '@nestjs/common';
import type { AppConfig } from '../config/app-config.js';
import { buildMessage } from './mail-message.js';
import { MailTransport, type OutgoingMail, TransportUnusableError } from './mail-transport.js';

/** They hold links that open accounts: for the program's own user alone. */
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/**
 * Without a mail server mails are files that the operator opens. A repeated mail replaces its file, so that nothing needs to be said
 * before one is written.
 */
export class OutboxTransport extends MailTransport {
  private readonly logger = new Logger('Outbox');

  constructor(
    private readonly settings: AppConfig['mail'],
    private readonly dataDir: string,
  ) {
    super();
  }

  async send(mail: OutgoingMail): Promise<void> {
    const path = join(this.settings.outboxDirectory, fileNameOf(mail));
    const bytes = await buildMessage(mail, this.settings, 'file');
    try {
      await this.makeDirectory();
      await publish(path, bytes);
    } catch (error) {
      throw this.unusable(error);
    }
    this.logger.log(`A mail (${mail.kind}) is in ${relative(this.dataDir, path)}`);
  }

  async verify(): Promise<void> {
    try {
      await this.makeDirectory();
      await access(this.settings.outboxDirectory, constants.W_OK);
    } catch (error) {
      throw this.unusable(error);
    }
  }

  async close(): Promise<void> {}

  private async makeDirectory(): Promise<void> {
    await mkdir(this.settings.outboxDirectory, { recursive: true, mode: FOLDER_MODE });
  }

  private unusable(error: unknown): Error {
    return new TransportUnusableError(`the outbox cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

/** Sorted by time in a listing. Nothing of it comes from a user. */
function fileNameOf({ createdAt, kind, id }: OutgoingMail): string {
  const time = createdAt.toISOString().replace(/[-:]|\.\d+/g, '');
  return `${time}-${kind.replace(/[^a-z0-9-]+/gi, '-')}-${id}.eml`;
}

/** Whole or not at all, and still there after a power cut. */
async function publish(path: string, bytes: Buffer): Promise<void> {
  const file = await open(`${path}.part`, 'w', FILE_MODE);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.part`, path);
  if (process.platform === 'win32') return;
  const directory = await open(join(path, '..'), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
