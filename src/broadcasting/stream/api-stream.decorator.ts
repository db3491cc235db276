import { applyDecorators } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation } from '@nestjs/swagger';
import { ApiErrors } from '../../common/http/api-errors.decorator.js';

const EPOCH = '7d1f8b0e-6a44-4d0e-9a6b-2f5c1d3e4a5b';
const SUBSCRIBED = { channel: 'news', epoch: EPOCH, sequence: 41, recovered: true };
const MESSAGE = {
  id: '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88',
  channel: 'news',
  sequence: 42,
  epoch: EPOCH,
  event: 'article.published',
  data: { title: 'Hello' },
  sender_id: null,
  created_at: '2026-01-01T00:00:00.000Z',
};

const EXAMPLE = [
  ['retry: 2000'],
  ['id: 41', 'event: subscribed', `data: ${JSON.stringify(SUBSCRIBED)}`],
  ['id: 42', 'event: message', `data: ${JSON.stringify(MESSAGE)}`],
  [': ping'],
  ['event: session:ended', 'data: {"reason":"token_expired"}'],
]
  .map((lines) => `${lines.join('\n')}\n\n`)
  .join('');

const DESCRIPTION = `Server-Sent Events of what sockets get:

- \`subscribed\`: first; the acknowledgement of a subscription. \`recovered: false\` says that not everything after the position asked for is kept, and what is kept follows from \`first_sequence\` on
- \`message\`: a message; its \`id\` is the sequence (none when the message is not durable)
- \`presence:joined\`, \`presence:left\`: in presence channels
- \`session:ended\` with \`{reason}\`, \`unsubscribed\` with \`{channel, reason}\`: last

A client that comes back with \`Last-Event-ID\` misses nothing, as EventSource does by itself. EventSource cannot send a token: it takes a
ticket in the URL. When that has expired EventSource gives up, and the page makes another one with a new ticket and \`after\`. The stream
ends with the access token; one opened by a ticket lasts as long as an access token does.`;

export const ApiStream = () =>
  applyDecorators(
    ApiOperation({ summary: 'The events of a channel as a stream', description: DESCRIPTION }),
    ApiHeader({
      name: 'Last-Event-ID',
      required: false,
      description: 'Begins with what follows this sequence',
      schema: { type: 'string', pattern: '^[0-9]{1,15}$' },
      example: '41',
    }),
    ApiOkResponse({
      description: 'Events until one side ends it',
      content: { 'text/event-stream': { schema: { type: 'string' }, example: EXAMPLE } },
    }),
    ApiErrors(403),
  );
