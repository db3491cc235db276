import type { KeyObject } from 'node:crypto';
import type { Limit, TrustedProxies } from './variable.js';

export interface S3Config {
  readonly endpoint: string | null;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly forcePathStyle: boolean;
  readonly hasPresignedDownloads: boolean;
}

/** The whole configuration, made once at start and frozen. It is also the injection token. */
export abstract class AppConfig {
  abstract readonly isProduction: boolean;
  abstract readonly http: {
    readonly host: string;
    readonly port: number;
    readonly requestTimeoutSeconds: number;
    readonly trustedProxies: TrustedProxies;
    readonly corsOrigins: readonly string[];
    /** The address of this server as its users know it, when the operator gave one. */
    readonly publicUrl: string | null;
  };
  /** Processes that answer on the one port. */
  abstract readonly concurrency: number;
  abstract readonly dataDir: string;
  abstract readonly database: {
    /** `null`: the embedded server. */
    readonly url: string | null;
    /** The server itself, when `url` leads through a pooler in transaction mode. */
    readonly directUrl: string | null;
    readonly poolSize: number;
    readonly replicaUrls: readonly string[];
    readonly replicaPoolSize: number;
  };
  abstract readonly tokens: {
    readonly accessKey: KeyObject;
    readonly refreshKey: KeyObject;
    readonly accessTtlSeconds: number;
    /** A session that is not refreshed for so long ends. */
    readonly sessionIdleSeconds: number;
    readonly sessionMaxSeconds: number;
    readonly refreshGraceSeconds: number;
  };
  abstract readonly accounts: {
    readonly bcryptCost: number;
    readonly isRegistrationOpen: boolean;
    readonly directoryShowsEmail: boolean;
    readonly loginLockout: Limit;
    readonly firstAdmin: { readonly email: string; readonly password: string } | null;
  };
  abstract readonly rateLimits: {
    readonly isEnabled: boolean;
    readonly credentials: Limit;
    readonly anonymous: Limit;
    readonly user: Limit;
    readonly userHourly: Limit;
    readonly uploads: Limit;
    readonly admin: Limit;
  };
  abstract readonly uploads: {
    readonly maxFileBytes: number;
    readonly userQuotaBytes: number;
    readonly storageQuotaBytes: number;
    /** MIME types, `image/*` or `*`, in lower case. */
    readonly allowedTypes: readonly string[];
    readonly resumableSeconds: number;
    /** Signs links that download without a header. */
    readonly linkKey: KeyObject;
    /** Where nginx finds the files' folder, when it sends them. */
    readonly accelPrefix: string | null;
    /** The folder of files, or of parts on their way to S3. */
    readonly directory: string;
    readonly s3: S3Config | null;
  };
  /** `null`: nodes have the database in common, and nothing else. */
  abstract readonly redisUrl: string | null;
  abstract readonly broadcasting: {
    readonly retentionSeconds: number;
    readonly retentionCount: number;
    /** Live connections of one user on this node. */
    readonly connectionsMax: number;
    /** Channels of one connection. */
    readonly subscriptionsMax: number;
    /** Events of one connection; on whatever `RATE_LIMIT_ENABLED` says. */
    readonly eventRate: Limit;
    /** What may wait for a reader. */
    readonly bufferBytes: number;
  };
  abstract readonly secondFactor: {
    /** Encrypts the secrets of authenticator apps. */
    readonly key: KeyObject;
    /** Signs the tokens of logins that wait for a code. */
    readonly loginKey: KeyObject;
    readonly isRequiredForAdmins: boolean;
  };
  abstract readonly mail: {
    readonly productName: string;
    /** `null`: mails are written to the outbox. */
    readonly smtpUrl: string | null;
    readonly from: string;
    readonly outboxDirectory: string;
    /** Pages that links in mails lead to, without the token. */
    readonly verifyUrl: string;
    readonly resetUrl: string;
    readonly undoUrl: string;
  };
  abstract readonly audit: { readonly retentionDays: number };
  abstract readonly metrics: {
    /** `null`: only callers on this machine. */
    readonly token: string | null;
  };
  abstract readonly log: { readonly level: string; readonly isPretty: boolean };
}
