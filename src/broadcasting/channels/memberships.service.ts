import { Injectable } from '@nestjs/common';
import type { Principal } from '../../common/auth/principal.js';
import { AuditEvent } from '../../common/events/audit-event.js';
import { DomainEvents } from '../../common/events/domain-events.js';
import { UserNotFoundError } from '../../users/users.errors.js';
import { InvalidChannelError, NoMembershipError } from '../broadcasting.errors.js';
import { parseChannelName } from './channel-name.js';
import { ChannelsRepository } from './channels.repository.js';

/** Who is in a `private-<name>` channel, as admins decide. */
@Injectable()
export class MembershipsService {
  constructor(
    private readonly channels: ChannelsRepository,
    private readonly events: DomainEvents,
  ) {}

  /** Adding a member again changes nothing. @throws InvalidChannelError, NoMembershipError, UserNotFoundError */
  async add(caller: Principal, name: string, userId: string): Promise<void> {
    refuseWithoutMembers(name);
    await this.channels.create(name);
    await this.channels.transaction(async (channels, tx) => {
      const outcome = await channels.addMember(name, userId);
      if (outcome === 'no_user') throw new UserNotFoundError();
      if (outcome === 'added') await this.record(caller, 'channel.member_added', name, userId, tx);
    });
  }

  /** Removing nobody is no error. @throws InvalidChannelError, NoMembershipError */
  async remove(caller: Principal, name: string, userId: string): Promise<void> {
    refuseWithoutMembers(name);
    await this.channels.transaction(async (channels, tx) => {
      if (await channels.removeMember(name, userId))
        await this.record(caller, 'channel.member_removed', name, userId, tx);
    });
  }

  private record(
    caller: Principal,
    action: 'channel.member_added' | 'channel.member_removed',
    name: string,
    userId: string,
    tx: Parameters<DomainEvents['record']>[0],
  ): Promise<void> {
    return this.events.record(tx, AuditEvent.by(caller, action, 'channel', name, { user_id: userId }));
  }
}

/** @throws InvalidChannelError, NoMembershipError */
export function refuseWithoutMembers(name: string): void {
  const channel = parseChannelName(name);
  if (!channel) throw new InvalidChannelError('name');
  if (channel.kind !== 'private') throw new NoMembershipError();
}
