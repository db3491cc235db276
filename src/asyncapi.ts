import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ApiProperty, DocumentBuilder, getSchemaPath, SwaggerModule } from '@nestjs/swagger';
import { BroadcastingModule } from './broadcasting/broadcasting.module.js';
import { ChannelMessageResponse } from './broadcasting/dto/channel-message.response.js';
import { PublishDto } from './broadcasting/dto/publish.dto.js';
import { SubscriptionResponse } from './broadcasting/dto/subscription.response.js';
import { NAMESPACE } from './broadcasting/gateway/broadcasting.gateway.js';
import {
  AuthenticatedAck,
  AuthenticateDto,
  ConnectedEvent,
  PongAck,
  PresenceEvent,
  PublishedAck,
  SessionEndedEvent,
  SubscribeDto,
  UnsubscribedAck,
  UnsubscribedEvent,
  UnsubscribeDto,
} from './broadcasting/gateway/events.dto.js';
import { ErrorResponse, ShapeFaultResponse, ValidationErrorResponse } from './openapi.js';
import { VERSION } from './version.js';

type Schema = Record<string, unknown>;
type Model = new () => object;

const ANY_ERROR = { anyOf: [ErrorResponse, ValidationErrorResponse].map((type) => ({ $ref: getSchemaPath(type) })) };

class RefusedAck {
  @ApiProperty({ enum: [false] })
  ok!: false;
  @ApiProperty({ description: 'The body that a REST answer would have', ...ANY_ERROR })
  error!: ErrorResponse | ValidationErrorResponse;
}

class ConnectErrorEvent {
  @ApiProperty({ example: 'Could not validate credentials' })
  message!: string;
  @ApiProperty({ description: 'The body that a REST answer would have', ...ANY_ERROR })
  data!: ErrorResponse | ValidationErrorResponse;
}

interface SocketEvent {
  readonly name: string;
  readonly from: 'client' | 'server';
  /** `null`: it carries nothing. */
  readonly payload: Model | null;
  /** When the event is done; one that is refused is answered with `RefusedAck`. */
  readonly acknowledgement?: Model;
  readonly summary: string;
}

const EVENTS: readonly SocketEvent[] = [
  {
    name: 'subscribe',
    from: 'client',
    payload: SubscribeDto,
    acknowledgement: SubscriptionResponse,
    summary: 'Reads a channel; the messages after `after` follow the acknowledgement, then what is published',
  },
  {
    name: 'unsubscribe',
    from: 'client',
    payload: UnsubscribeDto,
    acknowledgement: UnsubscribedAck,
    summary: 'Reads the channel no more',
  },
  {
    name: 'publish',
    from: 'client',
    payload: PublishDto,
    acknowledgement: PublishedAck,
    summary: 'Publishes a message; when the acknowledgement comes, it is on disk and has its place in the channel',
  },
  {
    name: 'authenticate',
    from: 'client',
    payload: AuthenticateDto,
    acknowledgement: AuthenticatedAck,
    summary: 'Renews the connection with a fresh access token of the same user, before the old one expires',
  },
  {
    name: 'ping',
    from: 'client',
    payload: null,
    acknowledgement: PongAck,
    summary: 'Asks whether the server answers',
  },
  {
    name: 'connected',
    from: 'server',
    payload: ConnectedEvent,
    summary: 'The first event of a connection: who you are, and until when',
  },
  {
    name: 'message',
    from: 'server',
    payload: ChannelMessageResponse,
    summary: 'A message of a channel that is read, in the order of its sequence',
  },
  {
    name: 'presence:joined',
    from: 'server',
    payload: PresenceEvent,
    summary: 'A user has come to a presence channel; once a user, however many connections',
  },
  {
    name: 'presence:left',
    from: 'server',
    payload: PresenceEvent,
    summary: 'The last connection of a user to a presence channel has gone',
  },
  {
    name: 'unsubscribed',
    from: 'server',
    payload: UnsubscribedEvent,
    summary: 'A channel may not be read any more; the connection goes on',
  },
  {
    name: 'session:ended',
    from: 'server',
    payload: SessionEndedEvent,
    summary: 'The connection ends now, and why; after slow_reader and subscription_failed clients return by themselves',
  },
  {
    name: 'connect_error',
    from: 'server',
    payload: ConnectErrorEvent,
    summary: 'The connection is refused; socket.io-client gives `message` and `data` as the properties of an Error',
  },
];

const DESCRIPTION = `Live events over Socket.IO 4, in the namespace \`${NAMESPACE}\`. Plain WebSocket clients cannot take part: use a client of Socket.IO.

**Connecting** takes an access token in the handshake, as \`auth.token\` (or the header \`Authorization\`).

**Acknowledgements**: each event from a client is answered in its callback with \`{ok: true, …}\` or \`{ok: false, error}\`.

**Messages** of a channel come in the order of their \`sequence\`, which has no gaps. Who subscribes with the \`after\` of the last message misses none.`;

const ACKNOWLEDGEMENT = '_acknowledgement';
const REFUSED = 'refused';

/** The AsyncAPI document of the gateway's events. */
export function createAsyncDocument(app: NestFastifyApplication): object {
  const received = EVENTS.filter(({ from }) => from === 'client');
  const events = EVENTS.map((event) => [idOf(event), messageOf(event.name, event.summary, event.payload)] as const);
  const acknowledgements = [
    ...received.map(
      ({ name, acknowledgement }) =>
        [name + ACKNOWLEDGEMENT, messageOf(name, `${name} is done`, acknowledgement ?? null)] as const,
    ),
    [REFUSED, messageOf(REFUSED, 'The event is refused; nothing has happened', RefusedAck)] as const,
  ];
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Gatehouse events',
      version: VERSION,
      description: DESCRIPTION,
      license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
    },
    defaultContentType: 'application/json',
    servers: {
      gatehouse: {
        host: '{host}',
        pathname: '/socket.io/',
        protocol: 'socket.io',
        protocolVersion: '5',
        description: 'Socket.IO, by WebSocket or long polling',
        variables: {
          host: { default: 'localhost:8000', description: 'Where Gatehouse listens, or the proxy before it' },
        },
        security: [{ $ref: '#/components/securitySchemes/token' }],
      },
    },
    channels: {
      broadcasting: {
        address: NAMESPACE,
        title: 'The namespace',
        description: 'One connection reads and publishes to any number of channels, which their payloads name.',
        messages: references('#/components/messages', events),
      },
      acknowledgements: {
        address: null,
        title: 'Acknowledgements',
        description: 'What the callback of an event from the client is called with.',
        messages: references('#/components/messages', acknowledgements),
      },
    },
    operations: Object.fromEntries(EVENTS.map((event) => [idOf(event), operationOf(event)])),
    components: {
      messages: Object.fromEntries([...events, ...acknowledgements]),
      schemas: schemasFrom(app),
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description:
            'An access token of POST /api/v1/auth/login, as `auth.token` of the handshake or in the header `Authorization`',
        },
      },
    },
  };
}

/** Keys take no colon. */
const idOf = ({ name }: SocketEvent) => name.replace(':', '_');

const messageOf = (name: string, summary: string, model: Model | null) => ({
  name,
  summary,
  payload: model ? { $ref: getSchemaPath(model) } : { type: 'null', description: 'Nothing is sent' },
});

const references = (place: string, messages: readonly (readonly [id: string, message: object])[]) =>
  Object.fromEntries(messages.map(([id]) => [id, { $ref: `${place}/${id}` }]));

/** Seen from the server, as AsyncAPI has it: what clients send it receives. */
function operationOf(event: SocketEvent): object {
  const answers = [`${event.name}${ACKNOWLEDGEMENT}`, REFUSED];
  return {
    action: event.from === 'client' ? 'receive' : 'send',
    channel: { $ref: '#/channels/broadcasting' },
    summary: event.summary,
    messages: [{ $ref: `#/channels/broadcasting/messages/${idOf(event)}` }],
    ...(event.acknowledgement && {
      reply: {
        channel: { $ref: '#/channels/acknowledgements' },
        messages: answers.map((id) => ({ $ref: `#/channels/acknowledgements/messages/${id}` })),
      },
    }),
  };
}

/** Of the classes in the table and what they refer to, by the decorators that the REST document is made from. */
function schemasFrom(app: NestFastifyApplication): Record<string, Schema> {
  const named = EVENTS.flatMap(({ payload, acknowledgement }) => [payload, acknowledgement]);
  const models = [...new Set([...named, RefusedAck, ErrorResponse, ShapeFaultResponse, ValidationErrorResponse])];
  const options = new DocumentBuilder().setOpenAPIVersion('3.1.0').build();
  const { components } = SwaggerModule.createDocument(app, options, {
    include: [BroadcastingModule],
    extraModels: models.filter((model): model is Model => Boolean(model)),
  });
  const all = (components?.schemas ?? {}) as Record<string, Schema>;
  const used = new Set<string>();
  const use = (schema: unknown) => {
    for (const [, name] of JSON.stringify(schema).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (used.has(name)) continue;
      used.add(name);
      use(all[name]);
    }
  };
  use(models.flatMap((model) => (model ? [{ $ref: getSchemaPath(model) }] : [])));
  return Object.fromEntries([...used].sort().map((name) => [name, withExamples(all[name])]));
}

/** JSON Schema has `examples`, where OpenAPI also has one `example`. */
function withExamples({ example, ...schema }: Schema): Schema {
  const inner = (value: unknown): unknown =>
    Array.isArray(value) ? value.map((each) => withExamples(each as Schema)) : withExamples(value as Schema);
  const converted = Object.entries(schema).map(([key, value]) => {
    if (key === 'properties')
      return [key, Object.fromEntries(Object.entries(value as Schema).map(([name, field]) => [name, inner(field)]))];
    return [key, ['items', 'anyOf', 'oneOf', 'allOf'].includes(key) ? inner(value) : value];
  });
  return { ...Object.fromEntries(converted), ...(example !== undefined && { examples: [example] }) };
}
