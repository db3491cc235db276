import { timingSafeEqual } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import type { EntityManager } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import type { AccessClaims } from '../../common/auth/access-claims.js';
import { awaitsSecondFactor, type Principal } from '../../common/auth/principal.js';
import { SCOPES, type Scope } from '../../common/auth/scope.js';
import { SecondFactorRequiredError } from '../../common/errors/errors.js';
import { AuditEvent } from '../../common/events/audit-event.js';
import { CallerActsEvent } from '../../common/events/caller-acts.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import type { ClientInfo } from '../../common/http/client-info.js';
import type { PageWindow } from '../../common/http/page.js';
import { AccessService } from '../access.service.js';
import { toAccount } from '../account-row.js';
import { newApiKey, readApiKey } from './api-key-text.js';
import { ApiKey } from './api-key.entity.js';
import { AdminScopeError, ApiKeyNotFoundError, KeyExpiryPastError, TooManyApiKeysError } from './api-keys.errors.js';
import { ApiKeysRepository, type KeyRow } from './api-keys.repository.js';

const KEYS_MAX = 100;
/** Of keys that are used, how many are kept in mind. */
const REMEMBERED_MAX = 10_000;
/** How often the use of one key is written down. */
const NOTED_EVERY_MS = 60_000;

export interface NewKey {
  readonly name: string;
  /** All but `admin` when it is left out. */
  readonly scopes?: readonly Scope[];
  readonly expiresAt?: Date | null;
}

export interface KnownKey {
  readonly id: string;
  readonly ownerId: string;
}

/** Who a key stands for. */
export interface KeyHolder {
  readonly claims: AccessClaims;
  readonly principal: Principal;
}

@Injectable()
export class ApiKeysService {
  private readonly logger = new Logger(ApiKeysService.name);
  /** Keys that were good when they were last shown, by the hash of their secret. */
  private readonly known = new LRUCache<string, KnownKey>({ max: REMEMBERED_MAX });
  private readonly noted = new LRUCache<string, true>({ max: REMEMBERED_MAX, ttl: NOTED_EVERY_MS });
  private readonly refused = new LRUCache<string, true>({ max: REMEMBERED_MAX, ttl: NOTED_EVERY_MS });

  constructor(
    private readonly keys: ApiKeysRepository,
    private readonly access: AccessService,
    private readonly events: DomainEvents,
  ) {}

  /** The key itself is told this once. @throws AdminScopeError, SecondFactorRequiredError, KeyExpiryPastError, TooManyApiKeysError */
  async create(caller: Principal, { name, scopes, expiresAt = null }: NewKey): Promise<{ key: ApiKey; text: string }> {
    if (scopes?.includes('admin') && caller.role !== 'admin')
      throw awaitsSecondFactor(caller) ? new SecondFactorRequiredError() : new AdminScopeError();
    const now = new Date();
    if (expiresAt && expiresAt <= now) throw new KeyExpiryPastError();
    const id = uuidv7();
    const { key: text, secretHash } = newApiKey(id);
    const key: ApiKey = {
      id,
      userId: caller.id,
      name,
      secretHash,
      scopes: SCOPES.filter((scope) => (scopes ? scopes.includes(scope) : scope !== 'admin')),
      createdAt: now,
      expiresAt,
      lastUsedAt: null,
      revokedAt: null,
    };
    await this.keys.transaction(async (keys, tx) => {
      await keys.lockOwner(caller.id);
      await this.events.record(tx, new CallerActsEvent(caller));
      if ((await keys.countOwn(caller.id)) >= KEYS_MAX) throw new TooManyApiKeysError(KEYS_MAX);
      await keys.insert(key);
      const details = { name, scopes: key.scopes, expires_at: expiresAt };
      await this.events.record(tx, AuditEvent.by(caller, 'api_key.created', 'api_key', id, details));
    });
    return { key, text };
  }

  list(userId: string, window: PageWindow): Promise<{ keys: ApiKey[]; total: number }> {
    return this.keys.listOwn(userId, window);
  }

  /** What it had opened is closed. @throws ApiKeyNotFoundError for another user's key too */
  async revoke(caller: Principal, id: string): Promise<void> {
    await this.keys.transaction(async (keys, tx) => {
      if (!(await keys.revokeOwn(id, caller.id))) throw new ApiKeyNotFoundError();
      await this.events.record(tx, AuditEvent.by(caller, 'api_key.revoked', 'api_key', id));
    });
  }

  async revokeAllOf(tx: EntityManager, userId: string): Promise<void> {
    await this.keys.within(tx).revokeAllOf(userId);
  }

  /** `null` for whatever is not a key that is good now; why is nobody's business. */
  async authenticate(text: string, client: ClientInfo): Promise<KeyHolder | null> {
    const parts = readApiKey(text);
    const row = parts && (await this.keys.findWithOwner(parts.id));
    if (!row || !timingSafeEqual(row.secret_hash, parts.secretHash)) return null;
    if (!row.is_live) {
      if (row.is_revoked) await this.tellRefused(row, client);
      return null;
    }
    this.known.set(parts.secretHash.toString('base64'), { id: row.key_id, ownerId: row.id });
    this.noteUse(row.key_id);
    return this.holderOf(row, client);
  }

  /**
   * A key that was good when it was last shown, without asking the database; `null` for any other. Whose limit a request counts
   * against must not be for others to choose.
   */
  recognise(text: string): KnownKey | null {
    const parts = readApiKey(text);
    return parts && (this.known.get(parts.secretHash.toString('base64')) ?? null);
  }

  private holderOf(row: KeyRow, client: ClientInfo): KeyHolder {
    const principal = this.access.toPrincipal(toAccount(row), row.key_id, row.scopes, client);
    const exp = row.expires_at ? row.expires_at.getTime() / 1000 : Infinity;
    return { principal, claims: { sub: row.id, sid: row.key_id, role: principal.role, exp, isApiKey: true } };
  }

  /** Nobody waits for it. */
  private noteUse(id: string): void {
    if (this.noted.has(id)) return;
    this.noted.set(id, true);
    this.keys
      .noteUse(id)
      .catch((error: Error) => this.logger.warn(`The use of a key could not be noted: ${error.message}`));
  }

  private async tellRefused({ key_id: keyId, id: userId }: KeyRow, client: ClientInfo): Promise<void> {
    if (this.refused.has(keyId)) return;
    this.refused.set(keyId, true);
    await this.keys.transaction((_keys, tx) =>
      this.events.record(
        tx,
        new AuditEvent('api_key.refused', {
          actorId: null,
          origin: client,
          targetType: 'api_key',
          targetId: keyId,
          details: { user_id: userId },
        }),
      ),
    );
  }
}
