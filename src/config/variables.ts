import { isEmail } from 'class-validator';
import { ONE_LINE } from '../common/validation/one-line.js';
import {
  boolean,
  concurrency,
  integer,
  limit,
  list,
  oneOf,
  postgresUrl,
  postgresUrls,
  proxies,
  text,
  url,
} from './variable.js';

const BYTES_MAX = Number.MAX_SAFE_INTEGER;
const PORT_PLACEHOLDER = 'http://localhost:PORT';

/** Whatever else it says, it names a host: without one the mail program would try this machine. */
const isSmtpUrl = (value: string) =>
  URL.canParse(value) && /^smtps?:$/.test(new URL(value).protocol) && new URL(value).hostname !== '';

/** Hosts of one's own network have no dots. */
const isSender = (value: string) =>
  ONE_LINE.test(value) && isEmail(value, { allow_display_name: true, require_tld: false });

/** Every variable that Gatehouse reads. `.env.example`, `--help` and the README's table are made from this. */
export const variables = {
  NODE_ENV: oneOf(['development', 'test', 'production'], {
    fallback: 'development',
    description: 'production asks for what a public server needs',
  }),
  HOST: text({
    fallback: '0.0.0.0',
    accepts: 'a host name or address',
    test: (value) => /^[A-Za-z0-9.:_-]+$/.test(value),
    description: 'Address to listen on',
  }),
  PORT: integer({ fallback: '8000', min: 0, max: 65535, description: 'Port to listen on; 0 takes a free one' }),
  WEB_CONCURRENCY: concurrency({
    fallback: '1',
    description: 'Processes that answer on the one port; auto takes as many as there are cores',
  }),
  DATA_DIR: text({ fallback: './data', description: 'Embedded database, files, generated secrets, outgoing mail' }),
  DATABASE_URL: postgresUrl({
    secret: true,
    whenUnset: 'embedded PostgreSQL in DATA_DIR',
    description: 'PostgreSQL (14 or later) to use instead of the embedded one',
  }),
  DATABASE_POOL_SIZE: integer({ fallback: '10', min: 2, max: 500, description: 'Database connections of one process' }),
  DATABASE_DIRECT_URL: postgresUrl({
    secret: true,
    whenUnset: 'DATABASE_URL leads to the server itself',
    description: 'The server itself, where DATABASE_URL leads through a pooler in transaction mode (PgBouncer)',
  }),
  DATABASE_REPLICA_URLS: postgresUrls({
    secret: true,
    whenUnset: 'the one database answers everything',
    description: "Streaming replicas that answer lists and searches of everybody's, about 5 seconds behind at most",
  }),
  DATABASE_REPLICA_POOL_SIZE: integer({
    fallback: '10',
    min: 1,
    max: 500,
    description: 'Connections of one process to each replica',
  }),
  REDIS_URL: url(['redis', 'rediss'], {
    secret: true,
    whenUnset: 'each process counts for itself, the database carries',
    description: 'Counts limits and failed logins of all nodes together, carries volatile messages',
  }),
  JWT_SECRET: text({
    secret: true,
    accepts: 'at least 32 characters',
    minLength: 32,
    whenUnset: 'generated once, kept in DATA_DIR',
    description: 'Signs access tokens; required when NODE_ENV=production and DATABASE_URL is set',
  }),
  JWT_ACCESS_TTL: integer({ fallback: '900', min: 5, max: 86_400, description: 'Life of an access token, seconds' }),
  JWT_REFRESH_TTL: integer({
    fallback: '604800',
    min: 10,
    max: 31_536_000,
    description: 'A session unused for so long ends, seconds',
  }),
  SESSION_MAX_TTL: integer({
    fallback: '2592000',
    min: 10,
    max: 315_360_000,
    description: 'A session ends so long after the login however it is used, seconds',
  }),
  REFRESH_GRACE: integer({
    fallback: '10',
    min: 0,
    max: 300,
    description: 'The previous refresh token still answers for so long, seconds',
  }),
  BCRYPT_COST: integer({
    fallback: '12',
    min: 10,
    max: 15,
    description: 'Cost of a password hash; one more doubles the time',
  }),
  ADMIN_EMAIL: text({
    accepts: 'an email address',
    test: (value) => isEmail(value) && value.length <= 254,
    whenUnset: 'admin@example.com',
    description: 'The first admin, made at start when there is no admin',
  }),
  ADMIN_PASSWORD: text({
    secret: true,
    whenUnset: 'generated, printed once',
    description: "The first admin's password",
  }),
  REGISTRATION_OPEN: boolean({ fallback: 'true', description: 'false: only admins create users' }),
  DIRECTORY_SHOWS_EMAIL: boolean({ fallback: 'false', description: "true: signed-in users see each other's email" }),
  BROADCAST_RETENTION_SECONDS: integer({
    fallback: '604800',
    min: 1,
    max: 315_360_000,
    description: 'How long a channel keeps messages',
  }),
  BROADCAST_RETENTION_COUNT: integer({
    fallback: '10000',
    min: 1,
    max: 10_000_000,
    description: 'How many messages a channel keeps',
  }),
  SOCKET_CONNECTIONS: integer({
    fallback: '50',
    min: 1,
    max: 1_000_000,
    description: 'Live connections (sockets and event streams) of one user in one process',
  }),
  SOCKET_SUBSCRIPTIONS: integer({
    fallback: '100',
    min: 1,
    max: 100_000,
    description: 'Channels that one socket may subscribe to',
  }),
  SOCKET_EVENT_RATE: limit({ fallback: '100/10', description: 'Events that one socket may send' }),
  SOCKET_BUFFER: integer({
    fallback: '1048576',
    min: 65_536,
    max: 1_073_741_824,
    description: 'A reader that is so far behind is cut, and can resume; bytes',
  }),
  STORAGE_DRIVER: oneOf(['local', 's3'], { fallback: 'local', description: 'Where files live' }),
  S3_ENDPOINT: url(['http', 'https'], { whenUnset: "the provider's own", description: 'S3 service' }),
  S3_REGION: text({ fallback: 'us-east-1', description: 'S3 region' }),
  S3_BUCKET: text({ whenUnset: 'none', description: 'S3 bucket; required with STORAGE_DRIVER=s3' }),
  S3_ACCESS_KEY_ID: text({ whenUnset: 'none', description: 'S3 key; required with STORAGE_DRIVER=s3' }),
  S3_SECRET_ACCESS_KEY: text({
    secret: true,
    whenUnset: 'none',
    description: 'S3 secret; required with STORAGE_DRIVER=s3',
  }),
  S3_FORCE_PATH_STYLE: boolean({ fallback: 'false', description: 'true for most stores that are not AWS' }),
  S3_PRESIGNED_DOWNLOADS: boolean({
    fallback: 'false',
    description: 'true: downloads are redirected to the S3 service, which must be reachable by the clients',
  }),
  X_ACCEL_REDIRECT: text({
    accepts: 'a path like /files/',
    test: (value) => /^\/[\w./-]*\/$/.test(value),
    whenUnset: 'Gatehouse sends files itself',
    description: 'Internal location of an nginx in front that leads to DATA_DIR/files',
  }),
  MAX_FILE_SIZE: integer({ fallback: '10485760', min: 1, max: BYTES_MAX, description: 'Largest file, bytes' }),
  USER_QUOTA: integer({ fallback: '1073741824', min: 0, max: BYTES_MAX, description: 'Storage of one user, bytes' }),
  STORAGE_QUOTA: integer({
    fallback: '107374182400',
    min: 0,
    max: BYTES_MAX,
    description: 'Storage of all users, bytes',
  }),
  RESUMABLE_TTL: integer({
    fallback: '86400',
    min: 60,
    max: 2_592_000,
    description: 'An interrupted resumable upload can be taken up for so long, seconds',
  }),
  ALLOWED_FILE_TYPES: list({
    accepts: 'MIME types like image/png, image/* or *, separated by commas',
    item: /^(\*|[a-z0-9.+-]+\/(\*|[a-z0-9.+-]+))$/i,
    fallback: [
      'image/jpeg,image/png,image/gif,image/webp,application/pdf,text/plain,text/csv,text/markdown,application/json,application/zip',
      'application/msword,application/vnd.ms-excel,application/vnd.ms-powerpoint',
      ...['wordprocessingml.document', 'spreadsheetml.sheet', 'presentationml.presentation'].map(
        (kind) => `application/vnd.openxmlformats-officedocument.${kind}`,
      ),
      ...['text', 'spreadsheet', 'presentation'].map((kind) => `application/vnd.oasis.opendocument.${kind}`),
    ].join(','),
    description: 'Types that may be uploaded',
  }),
  SMTP_URL: text({
    accepts: 'a URL like smtp://user:password@host:587 or smtps://host',
    test: isSmtpUrl,
    secret: true,
    whenUnset: 'mail is written to DATA_DIR/outbox',
    description: 'Outgoing mail',
  }),
  MAIL_FROM: text({
    accepts: 'an email address, or a name with one like Example <mail@example.com>',
    test: isSender,
    whenUnset: 'gatehouse@ the host of PUBLIC_URL',
    description: 'Sender of mails',
  }),
  MAIL_VERIFY_URL: url(['http', 'https'], {
    whenUnset: 'PUBLIC_URL/account/verify',
    description: 'Page that the verification mail links to',
  }),
  MAIL_RESET_URL: url(['http', 'https'], {
    whenUnset: 'PUBLIC_URL/account/reset',
    description: 'Page that the reset mail links to',
  }),
  PRODUCT_NAME: text({
    fallback: 'Gatehouse',
    accepts: 'one line of at most 60 characters',
    test: (value) => value.length <= 60 && ONE_LINE.test(value),
    description: 'What mails, account pages and authenticator apps call this server',
  }),
  RATE_LIMIT_ENABLED: boolean({ fallback: 'true', description: 'false for load tests; LOGIN_LOCKOUT stays' }),
  RATE_LIMIT_CREDENTIALS: limit({
    fallback: '5/60',
    description: 'Register, login and other credential calls, per address',
  }),
  RATE_LIMIT_ANONYMOUS: limit({ fallback: '100/60', description: 'Calls without a valid token, per address' }),
  RATE_LIMIT_USER: limit({ fallback: '100/60', description: 'Calls of one user' }),
  RATE_LIMIT_USER_HOURLY: limit({ fallback: '1000/3600', description: 'Calls of one user, long window' }),
  RATE_LIMIT_UPLOADS: limit({ fallback: '10/60', description: 'Files created by one user' }),
  RATE_LIMIT_ADMIN: limit({ fallback: '200/60', description: 'Admin calls of one admin' }),
  LOGIN_LOCKOUT: limit({ fallback: '10/900', description: 'Failed logins of one account, from all addresses' }),
  MFA_REQUIRED_FOR_ADMINS: boolean({
    fallback: 'false',
    description: 'true: an admin without a second factor may do what a user may, until it is set up',
  }),
  AUDIT_RETENTION_DAYS: integer({
    fallback: '365',
    min: 1,
    max: 36_500,
    description: 'How long the audit log keeps entries',
  }),
  TRUST_PROXY: proxies({ fallback: 'false', description: 'Whose X-Forwarded-For counts' }),
  REQUEST_TIMEOUT: integer({
    fallback: '60',
    min: 1,
    max: 3600,
    description: 'A request must have arrived whole after so long, seconds',
  }),
  CORS_ORIGINS: list({
    accepts: 'origins like https://app.example.com, separated by commas',
    item: /^https?:\/\/[^\s/*,]+\/?$/,
    whenUnset: 'none',
    description: 'Browser origins that may call',
  }),
  PUBLIC_URL: url(['http', 'https'], {
    whenUnset: PORT_PLACEHOLDER,
    description: 'Base of links in mails; required with SMTP_URL in production',
  }),
  LOG_LEVEL: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace'], {
    fallback: 'info',
    description: 'What is logged',
  }),
  LOG_FORMAT: oneOf(['json', 'pretty'], { whenUnset: 'json; pretty on a terminal', description: 'How it is logged' }),
  METRICS_TOKEN: text({
    secret: true,
    accepts: 'at least 16 characters',
    minLength: 16,
    whenUnset: 'loopback only',
    description: 'Bearer token of /metrics',
  }),
};

export type VariableName = keyof typeof variables;
