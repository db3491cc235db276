import { createClient } from 'redis';
import type { AppConfig } from '../../config/app-config.js';
import { MailQueueService } from '../../mail/mail-queue.service.js';
import { MAILS_AT_ONCE } from '../../mail/mail-sender.js';
import { MailsRepository } from '../../mail/mails.repository.js';
import { OutboxTransport } from '../../mail/outbox-transport.js';
import { SmtpTransport } from '../../mail/smtp-transport.js';
import { type Finding, ok, problem, reasonOf, skipped, warning } from './check.js';
import type { DatabaseLook } from './database-look.js';
import { compareMigrations } from './database-checks.js';
import { lookAtFolder } from './places.js';
import { isClearUrl, UNCLEAR_URL } from './redaction.js';

const CONNECT_TIMEOUT_MS = 5_000;
/** Streams, by which servers tell each other, came with version 5. */
const REDIS_OLDEST = 5;
const WAITING_SECONDS = 600;

export async function checkRedis({ redisUrl }: AppConfig): Promise<Finding> {
  if (!redisUrl) return ok('not used: nodes tell each other by the database');
  const place = isClearUrl(redisUrl) ? `Redis at ${new URL(redisUrl).host}` : 'Redis of REDIS_URL';
  const client = createClient({
    url: redisUrl,
    socket: { reconnectStrategy: false, connectTimeout: CONNECT_TIMEOUT_MS },
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.ping();
    const [, version = 'unknown'] = /^redis_version:(\S+)/m.exec(await client.info('server')) ?? [];
    const summary = `${place}: version ${version}`;
    return parseInt(version) < REDIS_OLDEST ? problem(summary, `Use Redis ${REDIS_OLDEST} or later.`) : ok(summary);
  } catch (error) {
    return problem(
      `${place} is not reached: ${isClearUrl(redisUrl) ? reasonOf(error) : UNCLEAR_URL}`,
      'Start it, and check host, port, user and password in REDIS_URL; or unset that, and nodes use the database.',
    );
  } finally {
    if (client.isOpen) client.destroy();
  }
}

/** Whether a mail could be handed over now. None is. */
export async function checkMail(config: AppConfig, isProduction: boolean): Promise<Finding> {
  const { mail, dataDir } = config;
  return mail.smtpUrl ? checkSmtp(mail, mail.smtpUrl) : checkOutbox(mail, dataDir, isProduction);
}

async function checkSmtp(mail: AppConfig['mail'], url: string): Promise<Finding> {
  const place = isClearUrl(url) ? `mail server ${new URL(url).host}` : 'mail server of SMTP_URL';
  const transport = new SmtpTransport(mail, url, MAILS_AT_ONCE);
  try {
    await transport.verify();
    return ok(`${place} takes mails from ${mail.from}`);
  } catch (error) {
    return problem(
      `${place} takes no mails: ${isClearUrl(url) ? reasonOf(error) : UNCLEAR_URL}`,
      'Check SMTP_URL: smtps:// for TLS from the start (465), smtp:// else (587), user and password.',
    );
  } finally {
    await transport.close();
  }
}

async function checkOutbox(mail: AppConfig['mail'], dataDir: string, isProduction: boolean): Promise<Finding> {
  const folder = await lookAtFolder(mail.outboxDirectory);
  if (folder.isThere && !folder.fault) await new OutboxTransport(mail, dataDir).verify();
  if (folder.fault)
    return problem(`the outbox cannot be written: ${folder.fault}`, 'Let DATA_DIR belong to the user of the server.');
  const summary = `mails are written to ${mail.outboxDirectory}`;
  return isProduction ? warning(summary, 'Nobody receives them: set SMTP_URL.') : ok(summary);
}

export async function checkMailQueue(look: DatabaseLook): Promise<Finding> {
  if (look.kind !== 'reached') return skipped('not looked at: there is no database');
  if ((await compareMigrations(look.database)).pending.length > 0)
    return skipped('not looked at: migrations are pending');
  const { queued, failed, unconfirmed, oldestSeconds } = await new MailQueueService(
    new MailsRepository(look.database),
  ).pendingCounts();
  const summary = `${queued} waiting, ${failed} given up, ${unconfirmed} nobody knows whether sent`;
  if (queued > 0 && oldestSeconds > WAITING_SECONDS)
    return warning(
      `${summary}; the oldest has waited for ${Math.floor(oldestSeconds / 60)} minutes`,
      'Is a server running? Its log says why mails are not taken.',
    );
  if (failed + unconfirmed > 0) return warning(summary, 'docs/mail.md tells how to see why.');
  return ok(summary);
}
