import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseMail } from './smtp-server.js';
import type { TestApp } from './test-app.js';
import { until } from './uploads.js';

/**
 * The token in the link of the mail to somebody about something, from the file that it will be in; empty when the mail has none. For an
 * application without a mail server, and an address that gets one such mail.
 */
export async function tokenInOutbox(app: TestApp, to: string, subject: RegExp): Promise<string> {
  const outbox = join(app.dataDir, 'outbox');
  const find = async () => {
    const names = existsSync(outbox) ? readdirSync(outbox).filter((name) => name.endsWith('.eml')) : [];
    const mails = await Promise.all(names.map((name) => parseMail(readFileSync(join(outbox, name), 'utf8'))));
    return mails.find((mail) => mail.to?.[0]?.address === to && subject.test(mail.subject ?? ''));
  };
  await until(async () => (await find()) !== undefined, 'the mail');
  return /[?&]token=(\S+)/.exec((await find())?.text ?? '')?.[1] ?? '';
}
