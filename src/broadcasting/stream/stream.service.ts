import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { AccessService } from '../../auth/access.service.js';
import type { AccessClaims } from '../../common/auth/access-claims.js';
import { InvalidCredentialsError, ServiceUnavailableError } from '../../common/errors/errors.js';
import type { ClientInfo } from '../../common/http/client-info.js';
import { AppConfig } from '../../config/app-config.js';
import { AccessChanges } from '../connections/access-changes.js';
import { LiveConnections } from '../connections/live-connections.js';
import { SubscriptionsService } from '../delivery/subscriptions.service.js';
import type { SubscriptionResponse } from '../dto/subscription.response.js';
import { EventStream } from './event-stream.js';
import { StreamTransport } from './stream-transport.js';

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store',
  // nginx would collect the answer before it passes it on.
  'X-Accel-Buffering': 'no',
};

export interface StreamRequest {
  readonly claims: AccessClaims;
  readonly client: ClientInfo;
  readonly channel: string;
  readonly after: number | undefined;
  readonly epoch: string | undefined;
}

@Injectable()
export class StreamService implements BeforeApplicationShutdown {
  private readonly streams = new Set<EventStream>();
  private isStopping = false;

  constructor(
    private readonly access: AccessService,
    private readonly accessChanges: AccessChanges,
    private readonly connections: LiveConnections,
    private readonly subscriptions: SubscriptionsService,
    private readonly transport: StreamTransport,
    private readonly config: AppConfig,
  ) {}

  /** The server waits for every answer that has begun, and these have no end. */
  beforeApplicationShutdown(): void {
    this.isStopping = true;
    for (const stream of this.streams) stream.close();
  }

  /**
   * Answers with the events of a channel; once the first byte is out, this is done and the stream lives on.
   * @throws InvalidCredentialsError, TooManyConnectionsError, InvalidChannelError, ChannelForbiddenError, ServiceUnavailableError
   */
  async open(request: StreamRequest, reply: FastifyReply): Promise<void> {
    const { channel, after, epoch } = request;
    const stream = await this.admit(request, reply.raw);
    try {
      const { answer, start } = await this.subscriptions.subscribe(stream, channel, { after, epoch });
      if (!stream.isOpen) throw new ServiceUnavailableError('The stream ended before it began');
      reply.headers(HEADERS).hijack();
      // JSON leaves out what is undefined: `ok` is for acknowledgements.
      const subscribed = { ...answer, ok: undefined };
      stream.begin(reply.getHeaders() as OutgoingHttpHeaders, subscribed, positionOf(answer, after));
      start();
    } catch (error) {
      this.abandon(stream, reply, error);
    }
  }

  /** What a GET would be answered with, without the stream. */
  describe(reply: FastifyReply): void {
    reply.headers(HEADERS).hijack();
    reply.raw.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders).end();
  }

  /** The session is looked at once more, after the mark: what ends it from then on ends the stream too. */
  private async admit(
    { claims, client }: Pick<StreamRequest, 'claims' | 'client'>,
    response: ServerResponse,
  ): Promise<EventStream> {
    const mark = this.accessChanges.mark();
    const principal = await this.access.principalOf(claims, client);
    if (!principal) throw new InvalidCredentialsError();
    if (this.isStopping) throw new ServiceUnavailableError('The server is stopping');
    const { transport } = this;
    const { bufferBytes } = this.config.broadcasting;
    const onEnd = (ended: EventStream) => this.release(ended);
    const stream = new EventStream({ claims, principal, response, transport, bufferBytes, onEnd });
    this.connections.add(stream);
    this.streams.add(stream);
    // Not before it is closed: it holds memory until then, and how many of them a user has is limited.
    response.once('close', () => this.connections.remove(stream));
    this.accessChanges.follow(stream, mark);
    return stream;
  }

  private release(stream: EventStream): void {
    this.streams.delete(stream);
    this.subscriptions.removeAll(stream);
  }

  private abandon(stream: EventStream, reply: FastifyReply, error: unknown): void {
    const isRefused = stream.isOpen;
    stream.close();
    this.connections.remove(stream);
    // Nobody is there to be answered.
    if (reply.raw.destroyed) return void reply.hijack();
    // It was ended while it was being opened. Why, the next attempt is told.
    throw isRefused ? error : new ServiceUnavailableError('The stream ended before it began');
  }
}

/** The sequence that comes before the first message of the stream. */
function positionOf(answer: SubscriptionResponse, after: number | undefined): number {
  return answer.first_sequence === undefined ? (after ?? answer.sequence) : answer.first_sequence - 1;
}
