import { Module } from '@nestjs/common';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import { AuthModule } from '../auth/auth.module.js';
import { AppConfig } from '../config/app-config.js';
import { DatabaseListener } from '../database/database-listener.js';
import { UsersModule } from '../users/users.module.js';
import { BroadcastingController } from './broadcasting.controller.js';
import { Channel } from './channels/channel.entity.js';
import { ChannelAccess } from './channels/channel-access.service.js';
import { ChannelsController } from './channels/channels.controller.js';
import { ChannelsRepository } from './channels/channels.repository.js';
import { ChannelsService } from './channels/channels.service.js';
import { MembershipsService } from './channels/memberships.service.js';
import { AccessChanges } from './connections/access-changes.js';
import { LiveConnections } from './connections/live-connections.js';
import { Feeds } from './delivery/feeds.js';
import { LocalAudience } from './delivery/local-audience.js';
import { SharedHistory } from './delivery/shared-history.js';
import { SubscriptionsService } from './delivery/subscriptions.service.js';
import { BroadcastingGateway } from './gateway/broadcasting.gateway.js';
import { SocketHandshake } from './gateway/socket-handshake.js';
import { SocketTransport } from './gateway/socket-transport.js';
import { Announcer } from './log/announcer.js';
import { MessageLog } from './log/message-log.js';
import { Publisher } from './log/publisher.js';
import { Retention } from './log/retention.js';
import { RetentionRepository } from './log/retention.repository.js';
import { MessagesController } from './messages.controller.js';
import { MessagesService } from './messages.service.js';
import { OwnEvents } from './own-events.js';
import { AudienceService } from './presence/audience.service.js';
import { AudiencesRepository } from './presence/audiences.repository.js';
import { NodeService } from './presence/node.service.js';
import { NodesRepository } from './presence/nodes.repository.js';
import { PresenceAnnouncements } from './presence/presence-announcements.js';
import { PresenceRepository } from './presence/presence.repository.js';
import { PresenceService } from './presence/presence.service.js';
import { StreamController } from './stream/stream.controller.js';
import { StreamService } from './stream/stream.service.js';
import { StreamTransport } from './stream/stream-transport.js';
import { TrafficService } from './traffic.service.js';
import { PostgresBus } from './volatile/postgres-bus.js';
import { RedisBus } from './volatile/redis-bus.js';
import { VolatileBus } from './volatile/volatile-bus.js';

@Module({
  imports: [UsersModule, AuthModule, TypeOrmModule.forFeature([Channel])],
  controllers: [MessagesController, ChannelsController, BroadcastingController, StreamController],
  providers: [
    MessageLog,
    Publisher,
    Announcer,
    RetentionRepository,
    Retention,
    LocalAudience,
    Feeds,
    SharedHistory,
    SubscriptionsService,
    ChannelsRepository,
    ChannelAccess,
    ChannelsService,
    MembershipsService,
    LiveConnections,
    AccessChanges,
    NodesRepository,
    NodeService,
    PresenceRepository,
    PresenceAnnouncements,
    PresenceService,
    AudiencesRepository,
    AudienceService,
    {
      provide: VolatileBus,
      inject: [AppConfig, getDataSourceToken(), LocalAudience, NodeService, DatabaseListener],
      useFactory: (
        { redisUrl }: AppConfig,
        database: DataSource,
        audience: LocalAudience,
        node: NodeService,
        listener: DatabaseListener,
      ): VolatileBus =>
        redisUrl === null ? new PostgresBus(database, audience, node.id, listener) : new RedisBus(audience),
    },
    MessagesService,
    OwnEvents,
    TrafficService,
    SocketHandshake,
    SocketTransport,
    BroadcastingGateway,
    StreamTransport,
    StreamService,
  ],
  exports: [MessagesService, TrafficService],
})
export class BroadcastingModule {}
