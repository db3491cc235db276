import { join, resolve } from 'node:path';
import { config as readDotenv } from 'dotenv';
import type { AppConfig, S3Config } from './app-config.js';
import { readEnvironment, type Environment } from './environment.js';
import { accessTokenKey, deriveKey, keptSecret } from './secrets.js';
import type { VariableName } from './variables.js';

type Source = Record<string, string | undefined>;

/** Reads `.env` of the working directory into the environment; what is set already wins. */
export function readDotenvFile(): void {
  readDotenv({ quiet: true });
}

/** @throws ConfigurationError with one line for each fault */
export function loadConfig(source: Source): AppConfig {
  return toConfig(readEnvironment(source));
}

function toConfig(env: Environment): AppConfig {
  const required = <K extends VariableName>(name: K): NonNullable<Environment[K]> => {
    const value = env[name];
    if (value === undefined) throw new Error(`${name} has no value and no default`);
    return value;
  };
  const dataDir = resolve(required('DATA_DIR'));
  const secret = env.JWT_SECRET ?? keptSecret(dataDir);
  const publicUrl = env.PUBLIC_URL?.replace(/\/+$/, '') ?? null;
  const baseUrl = publicUrl ?? `http://localhost:${required('PORT')}`;
  return deepFreeze<AppConfig>({
    isProduction: env.NODE_ENV === 'production',
    http: {
      host: required('HOST'),
      port: required('PORT'),
      requestTimeoutSeconds: required('REQUEST_TIMEOUT'),
      trustedProxies: required('TRUST_PROXY'),
      corsOrigins: (env.CORS_ORIGINS ?? []).map((origin) => origin.replace(/\/$/, '')),
      publicUrl,
    },
    concurrency: required('WEB_CONCURRENCY'),
    dataDir,
    database: {
      url: env.DATABASE_URL ?? null,
      // Platforms that have both names give the same to both where there is no pooler.
      directUrl: env.DATABASE_DIRECT_URL === env.DATABASE_URL ? null : (env.DATABASE_DIRECT_URL ?? null),
      poolSize: required('DATABASE_POOL_SIZE'),
      replicaUrls: [...(env.DATABASE_REPLICA_URLS ?? [])],
      replicaPoolSize: required('DATABASE_REPLICA_POOL_SIZE'),
    },
    tokens: {
      accessKey: accessTokenKey(secret),
      refreshKey: deriveKey(secret, 'refresh-token'),
      accessTtlSeconds: required('JWT_ACCESS_TTL'),
      sessionIdleSeconds: required('JWT_REFRESH_TTL'),
      sessionMaxSeconds: required('SESSION_MAX_TTL'),
      refreshGraceSeconds: required('REFRESH_GRACE'),
    },
    accounts: {
      bcryptCost: required('BCRYPT_COST'),
      isRegistrationOpen: required('REGISTRATION_OPEN'),
      directoryShowsEmail: required('DIRECTORY_SHOWS_EMAIL'),
      loginLockout: required('LOGIN_LOCKOUT'),
      firstAdmin:
        env.ADMIN_EMAIL && env.ADMIN_PASSWORD ? { email: env.ADMIN_EMAIL, password: env.ADMIN_PASSWORD } : null,
    },
    rateLimits: {
      isEnabled: required('RATE_LIMIT_ENABLED'),
      credentials: required('RATE_LIMIT_CREDENTIALS'),
      anonymous: required('RATE_LIMIT_ANONYMOUS'),
      user: required('RATE_LIMIT_USER'),
      userHourly: required('RATE_LIMIT_USER_HOURLY'),
      uploads: required('RATE_LIMIT_UPLOADS'),
      admin: required('RATE_LIMIT_ADMIN'),
    },
    uploads: {
      maxFileBytes: required('MAX_FILE_SIZE'),
      userQuotaBytes: required('USER_QUOTA'),
      storageQuotaBytes: required('STORAGE_QUOTA'),
      allowedTypes: required('ALLOWED_FILE_TYPES').map((type) => type.toLowerCase()),
      resumableSeconds: required('RESUMABLE_TTL'),
      linkKey: deriveKey(secret, 'download-link'),
      accelPrefix: env.X_ACCEL_REDIRECT ?? null,
      directory: join(dataDir, 'files'),
      s3: env.STORAGE_DRIVER === 's3' ? s3Config(env) : null,
    },
    redisUrl: env.REDIS_URL ?? null,
    broadcasting: {
      retentionSeconds: required('BROADCAST_RETENTION_SECONDS'),
      retentionCount: required('BROADCAST_RETENTION_COUNT'),
      connectionsMax: required('SOCKET_CONNECTIONS'),
      subscriptionsMax: required('SOCKET_SUBSCRIPTIONS'),
      eventRate: required('SOCKET_EVENT_RATE'),
      bufferBytes: required('SOCKET_BUFFER'),
    },
    secondFactor: {
      key: deriveKey(secret, 'second-factor'),
      loginKey: deriveKey(secret, 'second-factor-login'),
      isRequiredForAdmins: required('MFA_REQUIRED_FOR_ADMINS'),
    },
    mail: {
      productName: required('PRODUCT_NAME'),
      smtpUrl: env.SMTP_URL ?? null,
      from: env.MAIL_FROM ?? `gatehouse@${new URL(baseUrl).hostname}`,
      outboxDirectory: join(dataDir, 'outbox'),
      verifyUrl: env.MAIL_VERIFY_URL ?? `${baseUrl}/account/verify`,
      resetUrl: env.MAIL_RESET_URL ?? `${baseUrl}/account/reset`,
      undoUrl: `${baseUrl}/account/undo`,
    },
    audit: { retentionDays: required('AUDIT_RETENTION_DAYS') },
    metrics: { token: env.METRICS_TOKEN ?? null },
    log: {
      level: required('LOG_LEVEL'),
      isPretty: (env.LOG_FORMAT ?? (process.stdout.isTTY ? 'pretty' : 'json')) === 'pretty',
    },
  });
}

/** The three that have no default are given: `readEnvironment()` has seen to it. */
const s3Config = (env: Environment): S3Config => ({
  endpoint: env.S3_ENDPOINT ?? null,
  region: env.S3_REGION ?? '',
  bucket: env.S3_BUCKET ?? '',
  accessKeyId: env.S3_ACCESS_KEY_ID ?? '',
  secretAccessKey: env.S3_SECRET_ACCESS_KEY ?? '',
  forcePathStyle: env.S3_FORCE_PATH_STYLE ?? false,
  hasPresignedDownloads: env.S3_PRESIGNED_DOWNLOADS ?? false,
});

function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    // A KeyObject guards its own state.
    if (inner !== null && typeof inner === 'object' && Object.getPrototypeOf(inner) === Object.prototype)
      deepFreeze(inner);
  }
  return Object.freeze(value);
}
