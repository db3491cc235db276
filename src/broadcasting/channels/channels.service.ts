import { Injectable } from '@nestjs/common';
import type { Account, Principal } from '../../common/auth/principal.js';
import type { PageWindow } from '../../common/http/page.js';
import { AppConfig } from '../../config/app-config.js';
import { PublicUserResponse } from '../../users/dto/user.response.js';
import { UsersService } from '../../users/users.service.js';
import { ChannelForbiddenError, ChannelNotFoundError, InvalidChannelError } from '../broadcasting.errors.js';
import type { ChannelResponse } from '../dto/channel.response.js';
import type { MemberResponse } from '../dto/subscription.response.js';
import { AudienceService } from '../presence/audience.service.js';
import { PresenceService } from '../presence/presence.service.js';
import { ChannelAccess } from './channel-access.service.js';
import { type ChannelName, parseChannelName } from './channel-name.js';
import type { Channel } from './channel.entity.js';
import { type ChannelSettings, ChannelsRepository } from './channels.repository.js';
import { refuseWithoutMembers } from './memberships.service.js';

/** An answer names at most so many of a presence channel's members. */
const MEMBERS_MAX = 1_000;

@Injectable()
export class ChannelsService {
  constructor(
    private readonly channels: ChannelsRepository,
    private readonly access: ChannelAccess,
    private readonly presence: PresenceService,
    private readonly audiences: AudienceService,
    private readonly users: UsersService,
    private readonly config: AppConfig,
  ) {}

  /** @throws InvalidChannelError, ChannelForbiddenError */
  async authorise(caller: Principal, name: string, field = 'channel'): Promise<ChannelName> {
    const channel = parseChannelName(name);
    if (!channel) throw new InvalidChannelError(field);
    if (!(await this.access.mayRead(caller, channel))) throw new ChannelForbiddenError();
    return channel;
  }

  /** A name that nobody has used yet is an empty channel. @throws InvalidChannelError, ChannelForbiddenError */
  async get(caller: Principal, name: string): Promise<ChannelResponse> {
    await this.authorise(caller, name, 'name');
    const [view] = await this.describe([name]);
    return view;
  }

  async list(caller: Principal, window: PageWindow): Promise<{ channels: ChannelResponse[]; total: number }> {
    await this.audiences.flush();
    const { names, total } = await this.channels.listReadable(caller, window);
    return { channels: await this.describe(names), total };
  }

  /** By admins. @throws InvalidChannelError, ChannelNotFoundError for the channel of a user who does not exist */
  async configure(name: string, settings: ChannelSettings): Promise<ChannelResponse> {
    const channel = parseChannelName(name);
    if (!channel) throw new InvalidChannelError('name');
    if (!(await this.channels.configure(channel, settings))) throw new ChannelNotFoundError();
    const [view] = await this.describe([name]);
    return view;
  }

  /** @throws NoMembershipError */
  async listMembers(name: string, window: PageWindow): Promise<{ members: MemberResponse[]; total: number }> {
    refuseWithoutMembers(name);
    const { ids, total } = await this.channels.listMembers(name, window);
    const accounts = await this.users.findAll(ids);
    return { members: accounts.map(toMember), total };
  }

  /** A restored database has forgotten messages that clients have seen: every sequence belongs to another epoch from now on. */
  renewEpochs(): Promise<void> {
    return this.channels.renewEpochs();
  }

  private async describe(names: readonly string[]): Promise<ChannelResponse[]> {
    const parsed = names.map((name) => parseChannelName(name) as ChannelName);
    const presences = parsed.filter(({ kind }) => kind === 'presence').map(({ name }) => name);
    await this.audiences.flush();
    const [used, subscribers, members, epoch] = await Promise.all([
      this.channels.findAll(names),
      this.audiences.countsOf([...names]),
      this.presence.membersOf(presences, MEMBERS_MAX),
      this.channels.nextEpoch(),
    ]);
    const byName = new Map(used.map((channel) => [channel.name, channel]));
    return parsed.map(({ name, kind }) => ({
      name,
      kind,
      subscribers: subscribers.get(name) ?? 0,
      ...this.settingsOf(byName.get(name), epoch),
      ...(kind === 'presence' && { members: members.get(name) ?? [] }),
    }));
  }

  private settingsOf(channel: Channel | undefined, epoch: string) {
    const { retentionSeconds, retentionCount } = this.config.broadcasting;
    return {
      sequence: channel?.lastSequence ?? 0,
      first_sequence: channel?.firstSequence ?? 1,
      epoch: channel?.epoch ?? epoch,
      publish_policy: channel?.publishPolicy ?? ('admins' as const),
      retention_seconds: channel?.retentionSeconds ?? retentionSeconds,
      retention_count: channel?.retentionCount ?? retentionCount,
    };
  }
}

function toMember(account: Account): MemberResponse {
  const { id, username, full_name } = PublicUserResponse.from(account, false);
  return { id, username, full_name };
}
