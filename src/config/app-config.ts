import type { KeyObject } from 'node:crypto';
import type { Limit, TrustedProxies } from './variable.js';

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
  abstract readonly dataDir: string;
  abstract readonly database: { readonly url: string | null; readonly poolSize: number };
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
  abstract readonly log: { readonly level: string; readonly isPretty: boolean };
}
