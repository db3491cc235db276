import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Secret, TOTP } from 'otpauth';
import { AppConfig } from '../../config/app-config.js';
import { TOTP_CODE } from './proof.js';

/** What authenticator apps understand, whatever else an otpauth URI may say. */
const RULES = { algorithm: 'SHA1', digits: 6, period: 30 } as const;
/** Steps to either side of now that count: for clocks that are wrong, and for codes that are typed slowly. */
const WINDOW_STEPS = 1;
/** 160 bits, as RFC 4226 (section 4) recommends for HMAC-SHA-1. */
const SECRET_BYTES = 20;

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface NewTotp {
  readonly secret: string;
  readonly uri: string;
  /** The secret as it is stored. */
  readonly sealed: Buffer;
}

/** Our fault, or the operator's: the user's code is not to blame. */
export class UnreadableSecretError extends Error {
  constructor(userId: string, cause: unknown) {
    super(
      `The second factor of user ${userId} cannot be decrypted: JWT_SECRET is another than when it was set up, or the row was altered`,
      { cause },
    );
  }
}

/**
 * Codes of authenticator apps (TOTP, RFC 6238). The shared secret is stored encrypted, by a key that is not in the database and bound to its
 * user: neither a copy of the database nor a row that was moved to another user is of use.
 */
@Injectable()
export class Totp {
  constructor(private readonly config: AppConfig) {}

  create(account: { id: string; email: string }): NewTotp {
    const secret = new Secret({ size: SECRET_BYTES });
    const totp = new TOTP({ ...RULES, issuer: this.config.mail.productName, label: account.email, secret });
    return { secret: secret.base32, uri: totp.toString(), sealed: this.seal(secret.bytes, account.id) };
  }

  /** The step that a code belongs to, `null` when it is not good now. @throws UnreadableSecretError */
  stepOf(code: string, sealed: Buffer, userId: string, now: Date): number | null {
    // The library throws at characters that are not one byte each.
    if (!TOTP_CODE.test(code)) return null;
    const secret = new Secret({ buffer: Uint8Array.from(this.open(sealed, userId)).buffer });
    const timestamp = now.getTime();
    const delta = TOTP.validate({ ...RULES, token: code, secret, timestamp, window: WINDOW_STEPS });
    return delta === null ? null : TOTP.counter({ period: RULES.period, timestamp }) + delta;
  }

  /** As it is stored: nonce, ciphertext, tag. */
  seal(secret: Uint8Array, userId: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.config.secondFactor.key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(userId));
    return Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
  }

  private open(sealed: Buffer, userId: string): Buffer {
    try {
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const cipher = createDecipheriv(CIPHER, this.config.secondFactor.key, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(Buffer.from(userId));
      cipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      return Buffer.concat([cipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), cipher.final()]);
    } catch (error) {
      throw new UnreadableSecretError(userId, error);
    }
  }
}
