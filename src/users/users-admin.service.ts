import { Injectable } from '@nestjs/common';
import type { Principal } from '../common/auth/principal.js';
import type { Role } from '../common/auth/role.js';
import { type AuditAction, AuditEvent } from '../common/events/audit-event.js';
import { CallerActsEvent } from '../common/events/caller-acts.js';
import { DomainEvents } from '../common/events/domain-events.js';
import type { PageWindow } from '../common/http/page.js';
import { type ManagedAccount, UsersAdminRepository, type UsersFilter } from './users-admin.repository.js';
import { LastAdminError, UserNotFoundError } from './users.errors.js';
import { UserDisabledEvent, UserUpdatedEvent } from './users.events.js';
import { UsersRepository } from './users.repository.js';

export type { ManagedAccount, UsersFilter } from './users-admin.repository.js';

/** What is not given stays. */
export interface StandingChanges {
  readonly role?: Role;
  readonly isActive?: boolean;
  /** Bytes; `null` is the default of everybody. */
  readonly quota?: number | null;
}

type AuditFact = [action: AuditAction, details?: { from: unknown; to: unknown }];

/** What administrators may do with accounts, their own too. */
@Injectable()
export class UsersAdminService {
  constructor(
    private readonly managed: UsersAdminRepository,
    private readonly users: UsersRepository,
    private readonly events: DomainEvents,
  ) {}

  list(filter: UsersFilter, window: PageWindow): Promise<{ users: ManagedAccount[]; total: number }> {
    return this.managed.list(filter, window);
  }

  /** @throws UserNotFoundError */
  async get(id: string): Promise<ManagedAccount> {
    const account = await this.managed.find(id);
    if (!account) throw new UserNotFoundError();
    return account;
  }

  /** What changes nothing leaves no trace. @throws UserNotFoundError, LastAdminError */
  async update(caller: Principal, id: string, changes: StandingChanges): Promise<ManagedAccount> {
    const { account, event } = await this.users.transaction(async (users, tx) => {
      // Before the user's row: whoever deletes an admin takes the two in this order.
      if (changes.role !== undefined || changes.isActive !== undefined) await users.lockAdmins();
      const managed = this.managed.within(tx);
      const before = await managed.findForUpdate(id);
      if (!before) throw new UserNotFoundError();
      const wanted = { ...before, ...given(changes) };
      const facts = factsOf(before, wanted);
      if (facts.length === 0) return { account: before, event: null };
      const isLost = isActiveAdmin(before) && !isActiveAdmin(wanted);
      if (isLost && (await users.countOtherActiveAdmins(id)) === 0) throw new LastAdminError();
      await this.events.record(tx, new CallerActsEvent(caller));
      const account = await managed.update(wanted);
      const event = before.isActive && !account.isActive ? new UserDisabledEvent(id) : new UserUpdatedEvent(account);
      for (const [action, details] of facts)
        await this.events.record(tx, AuditEvent.by(caller, action, 'user', id, details));
      await this.events.record(tx, event);
      return { account, event };
    });
    if (event) this.events.emit(event);
    return account;
  }
}

const given = ({ role, isActive, quota }: StandingChanges): StandingChanges => ({
  ...(role !== undefined && { role }),
  ...(isActive !== undefined && { isActive }),
  ...(quota !== undefined && { quota }),
});

const isActiveAdmin = ({ role, isActive }: ManagedAccount): boolean => role === 'admin' && isActive;

/** One entry of the audit log for each thing that is another one. */
function factsOf(before: ManagedAccount, after: ManagedAccount): AuditFact[] {
  const facts: AuditFact[] = [];
  if (before.role !== after.role) facts.push(['user.role_changed', { from: before.role, to: after.role }]);
  if (before.isActive !== after.isActive) facts.push([after.isActive ? 'user.enabled' : 'user.disabled']);
  if (before.quota !== after.quota) facts.push(['user.quota_changed', { from: before.quota, to: after.quota }]);
  return facts;
}
