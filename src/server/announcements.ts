import type { AppConfig } from '../config/app-config.js';
import type { OpenDatabase } from '../database/open-database.js';
import type { FirstAdmin } from '../users/first-admin.service.js';

/** Written past the log, which keeps no secret: this once is the only time that the password is to be seen. */
export function announceAdmin({ email, username, generatedPassword }: FirstAdmin): void {
  const password = generatedPassword
    ? [`  password  ${generatedPassword}`, '', '  The password is shown this once. Change it after signing in.']
    : ['  password  as ADMIN_PASSWORD says'];
  print(['The first administrator:', '', `  email     ${email}`, `  username  ${username}`, ...password]);
}

/** Where to go now. */
export function announceStart(port: number, config: AppConfig, database: OpenDatabase): void {
  const isLocal = ['0.0.0.0', '::', '127.0.0.1', '::1'].includes(config.http.host);
  const host = isLocal ? 'localhost' : config.http.host;
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  print([
    `Gatehouse is listening on ${base}`,
    '',
    `  API       ${base}/api/v1`,
    `  docs      ${base}/docs`,
    `  database  ${database.isEmbedded ? `embedded PostgreSQL in ${config.dataDir}` : 'PostgreSQL at DATABASE_URL'}`,
    `  files     ${config.uploads.s3 ? `S3 bucket ${config.uploads.s3.bucket}` : config.uploads.directory}`,
    `  mail      ${config.mail.smtpUrl ? `by ${new URL(config.mail.smtpUrl).host}` : config.mail.outboxDirectory}`,
  ]);
}

function print(lines: string[]): void {
  process.stdout.write(`\n${lines.join('\n')}\n\n`);
}
