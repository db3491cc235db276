import { Injectable } from '@nestjs/common';
import type { Principal } from '../../common/auth/principal.js';
import type { ChannelName } from './channel-name.js';
import { ChannelsRepository, type Membership } from './channels.repository.js';

/** Who may read and who may publish. */
@Injectable()
export class ChannelAccess {
  constructor(private readonly channels: ChannelsRepository) {}

  async mayRead(caller: Principal, { name, kind, subject }: ChannelName): Promise<boolean> {
    switch (kind) {
      case 'plain':
      case 'presence':
        return true;
      case 'private-user':
        return subject === caller.id;
      case 'private-role':
        return caller.role === 'admin' || caller.role === subject;
      case 'private':
        return caller.role === 'admin' || this.channels.isMember(name, caller.id);
    }
  }

  /** Admins publish anywhere; others where the channel's policy says so and they may read. */
  async mayPublish(caller: Principal, channel: ChannelName): Promise<boolean> {
    if (caller.role === 'admin') return true;
    const policy = await this.channels.findPublishPolicy(channel.name);
    return policy === 'members' && this.mayRead(caller, channel);
  }

  /** Of readers of private-<name> channels, those who are no members any more. */
  async withoutMembership(readers: readonly Membership[]): Promise<Membership[]> {
    if (readers.length === 0) return [];
    const members = new Set((await this.channels.findMemberships(readers)).map(keyOf));
    return readers.filter((reader) => !members.has(keyOf(reader)));
  }
}

const keyOf = ({ userId, channel }: Membership) => `${userId} ${channel}`;
