import { Logger, UseFilters } from '@nestjs/common';
import {
  Ack,
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  type OnGatewayInit,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';
import type { Event, Namespace } from 'socket.io';
import { Authenticated } from '../../common/auth/access.decorator.js';
import { CurrentUser } from '../../common/auth/current-user.decorator.js';
import type { Principal } from '../../common/auth/principal.js';
import { ForbiddenError, TooManyRequestsError } from '../../common/errors/errors.js';
import { FixedWindowCounter, retryAfterSeconds } from '../../common/limits/fixed-window.js';
import { AppConfig } from '../../config/app-config.js';
import { PublicUserResponse } from '../../users/dto/user.response.js';
import { UnknownEventError } from '../broadcasting.errors.js';
import { AccessChanges } from '../connections/access-changes.js';
import { LiveConnections } from '../connections/live-connections.js';
import { SubscriptionsService } from '../delivery/subscriptions.service.js';
import { refuseUnlikeJson } from '../../common/validation/json-value.js';
import { PublishDto } from '../dto/publish.dto.js';
import type { SubscriptionResponse } from '../dto/subscription.response.js';
import { MessagesService } from '../messages.service.js';
import { VolatileBus } from '../volatile/volatile-bus.js';
import {
  type AuthenticatedAck,
  AuthenticateDto,
  type ConnectedEvent,
  type PongAck,
  type PublishedAck,
  SubscribeDto,
  type UnsubscribedAck,
  UnsubscribeDto,
} from './events.dto.js';
import { type GatehouseSocket, SocketConnection, userRoomOf } from './socket-connection.js';
import { connectError, refusedOf, SocketErrorFilter, socketErrorBody } from './socket-errors.js';
import { SocketHandshake } from './socket-handshake.js';
import { SocketTransport } from './socket-transport.js';

const EVENTS: ReadonlySet<string> = new Set(['subscribe', 'unsubscribe', 'publish', 'authenticate', 'ping']);
/** Who goes on so far past the limit is not listening to its errors. */
const CUT_FACTOR = 5;

export const NAMESPACE = '/broadcasting';

/** Socket.IO events; what they do is the services' business, as it is for controllers. */
@WebSocketGateway({ namespace: NAMESPACE })
@Authenticated('broadcast:read')
@UseFilters(SocketErrorFilter)
export class BroadcastingGateway implements OnGatewayInit, OnGatewayConnection, OnGatewayDisconnect {
  private readonly logger = new Logger(BroadcastingGateway.name);
  private readonly rate: FixedWindowCounter;

  constructor(
    private readonly handshake: SocketHandshake,
    private readonly transport: SocketTransport,
    private readonly connections: LiveConnections,
    private readonly accessChanges: AccessChanges,
    private readonly subscriptions: SubscriptionsService,
    private readonly messages: MessagesService,
    private readonly bus: VolatileBus,
    private readonly config: AppConfig,
  ) {
    this.rate = new FixedWindowCounter(config.broadcasting.eventRate.seconds * 1000);
  }

  afterInit(namespace: Namespace): void {
    this.transport.attach(namespace);
    this.bus.attach(namespace);
    namespace.use((socket, next) => {
      this.handshake.admit(socket).then(
        () => next(),
        (error: unknown) => refuse(socket as GatehouseSocket, error, next),
      );
    });
  }

  handleConnection(socket: GatehouseSocket): void {
    const connection = new SocketConnection(socket, this.config.broadcasting.bufferBytes);
    socket.data.connection = connection;
    socket.data.givePlaceBack();
    this.connections.add(connection);
    void socket.join(userRoomOf(connection.principal.id));
    socket.use((packet, next) => this.letThrough(socket, packet, next));
    const { id, username, full_name } = PublicUserResponse.from(connection.principal.account, false);
    connection.send('connected', {
      socket_id: socket.id,
      user: { id, username, full_name },
      expires_at: connection.expiresAt,
    } satisfies ConnectedEvent);
    this.accessChanges.follow(connection, socket.data.accessMark);
  }

  handleDisconnect(socket: GatehouseSocket, reason?: string): void {
    const { connection, address } = socket.data;
    this.logger.log({
      message: 'socket',
      reason,
      duration_ms: Date.now() - socket.handshake.issued,
      ip: address,
      user_id: connection.principal.id,
    });
    connection.close();
    this.subscriptions.removeAll(connection);
    this.connections.remove(connection);
  }

  @SubscribeMessage('subscribe')
  async subscribe(
    @CurrentUser() caller: Principal,
    @ConnectedSocket() { data: { connection } }: GatehouseSocket,
    @MessageBody() { channel, after, epoch }: SubscribeDto,
    @Ack() acknowledge?: (answer: SubscriptionResponse) => void,
  ): Promise<void> {
    // The announcement of another role is still on its way.
    if (caller.role !== connection.principal.role) return this.endForRole(connection);
    const { answer, start } = await this.subscriptions.subscribe(connection, channel, { after, epoch });
    acknowledge?.(answer);
    start();
  }

  @SubscribeMessage('unsubscribe')
  unsubscribe(
    @ConnectedSocket() { data: { connection } }: GatehouseSocket,
    @MessageBody() { channel }: UnsubscribeDto,
  ): UnsubscribedAck {
    this.subscriptions.unsubscribe(connection, channel);
    return { ok: true, channel };
  }

  @SubscribeMessage('publish')
  @Authenticated('broadcast:write')
  async publish(
    @CurrentUser() caller: Principal,
    @MessageBody() { channel, event, data, idempotency_key, durable }: PublishDto,
  ): Promise<PublishedAck> {
    const message = { channel, event, data, idempotencyKey: idempotency_key, isDurable: durable };
    return { ok: true, ...(await this.messages.publish(caller, message)).message };
  }

  @SubscribeMessage('authenticate')
  @Authenticated('any')
  async authenticate(
    @ConnectedSocket() { data: { connection } }: GatehouseSocket,
    @MessageBody() { token }: AuthenticateDto,
  ): Promise<AuthenticatedAck> {
    const { accessClaims, principal, mark } = await this.handshake.renew(connection.principal, token);
    connection.renew(accessClaims, principal);
    this.accessChanges.follow(connection, mark);
    return { ok: true, expires_at: connection.expiresAt };
  }

  @SubscribeMessage('ping')
  @Authenticated('any')
  ping(): PongAck {
    return { ok: true, time: new Date().toISOString() };
  }

  private endForRole(connection: SocketConnection): never {
    connection.end('role_changed');
    throw new ForbiddenError();
  }

  /** Before anything else looks at an event. */
  private letThrough(socket: GatehouseSocket, packet: Event, next: () => void): void {
    const { connection } = socket.data;
    const { count } = this.config.broadcasting.eventRate;
    // Counted apart: who sends as much as he may can renew his token all the same.
    const standing = this.rate.hit(packet[0] === 'authenticate' ? `${socket.id} ${packet[0]}` : socket.id);
    if (standing.hits > count * CUT_FACTOR) return connection.end('rate_limited');
    const acknowledge: unknown = packet.at(-1);
    try {
      if (standing.hits > count) throw new TooManyRequestsError('Too many events', retryAfterSeconds(standing));
      if (!EVENTS.has(packet[0] as string)) throw new UnknownEventError();
      for (const value of packet.slice(1)) refuseUnlikeJson(value, 'event');
    } catch (error) {
      if (typeof acknowledge === 'function')
        acknowledge({ ok: false, error: socketErrorBody(error, refusedOf(String(packet[0]), socket)) });
      return;
    }
    const channel = (packet[1] as { channel?: unknown } | null | undefined)?.channel;
    if (typeof channel === 'string') takeTurn(connection, channel, packet, next);
    else next();
  }
}

/** Answers of one channel's events are awaited one after the other: what they ask of the database may be answered in any order. */
function takeTurn(connection: SocketConnection, channel: string, packet: Event, next: () => void): void {
  connection.turns.take(channel, (end) => {
    const acknowledge: unknown = packet.at(-1);
    if (typeof acknowledge !== 'function') packet.push(end);
    else
      packet[packet.length - 1] = (answer: unknown) => {
        acknowledge(answer);
        end();
      };
    next();
  });
}

/**
 * A client whose credentials are refused has to do something about it, and its library leaves it at that. When the database is away it
 * need only come again, which the library does by itself if the connection breaks.
 */
function refuse(socket: GatehouseSocket, error: unknown, next: (error: Error) => void): void {
  const refusal = connectError(error, socket);
  if (refusal.data.code >= 500) socket.conn.close();
  else next(refusal);
}
