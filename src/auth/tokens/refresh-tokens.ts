import { createHmac, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { parse, stringify } from 'uuid';
import { AppConfig } from '../../config/app-config.js';

const ID_BYTES = 16;
const COUNTER_BYTES = 4;
const MAC_BYTES = 32;
const TOKEN_CHARACTERS = Math.ceil(((ID_BYTES + COUNTER_BYTES + MAC_BYTES) * 4) / 3);

export interface RefreshTicket {
  readonly sessionId: string;
  readonly counter: number;
}

/**
 * Refresh tokens: session id and counter, signed (HMAC-SHA-256) with a key that is not in the database. The database holds
 * the counter alone, so nothing that is stored can be turned into a token, and the same counter is always the same token.
 */
@Injectable()
export class RefreshTokens {
  constructor(private readonly config: AppConfig) {}

  issue({ sessionId, counter }: RefreshTicket): string {
    const ticket = Buffer.alloc(ID_BYTES + COUNTER_BYTES);
    ticket.set(parse(sessionId));
    ticket.writeUInt32BE(counter, ID_BYTES);
    return Buffer.concat([ticket, this.sign(ticket)]).toString('base64url');
  }

  /** `null` for what we did not sign. */
  read(token: string): RefreshTicket | null {
    if (token.length !== TOKEN_CHARACTERS) return null;
    const bytes = Buffer.from(token, 'base64url');
    if (bytes.length !== ID_BYTES + COUNTER_BYTES + MAC_BYTES) return null;
    const ticket = bytes.subarray(0, ID_BYTES + COUNTER_BYTES);
    if (!timingSafeEqual(bytes.subarray(ticket.length), this.sign(ticket))) return null;
    return { sessionId: stringify(ticket.subarray(0, ID_BYTES)), counter: ticket.readUInt32BE(ID_BYTES) };
  }

  private sign(ticket: Buffer): Buffer {
    return createHmac('sha256', this.config.tokens.refreshKey).update(ticket).digest();
  }
}
