import { ApiProperty } from '@nestjs/swagger';

/** As schemas have it. The metadata of `unknown` would make it an object. */
export const ANY_JSON = {
  anyOf: [
    { type: 'object', additionalProperties: true },
    { type: 'array', items: {} },
    ...['string', 'number', 'boolean', 'null'].map((type) => ({ type })),
  ],
};

/** A message as REST answers, sockets and event streams show it. */
export class ChannelMessageResponse {
  @ApiProperty({ format: 'uuid', example: '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88' })
  id!: string;

  @ApiProperty({ example: 'news' })
  channel!: string;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    example: 42,
    description: 'Its place in the channel, without gaps; null for messages that are not durable',
  })
  sequence!: number | null;

  @ApiProperty({
    format: 'uuid',
    example: '7d1f8b0e-6a44-4d0e-9a6b-2f5c1d3e4a5b',
    description: 'Changes when sequences start anew, as after a restored backup',
  })
  epoch!: string;

  @ApiProperty({ example: 'article.published' })
  event!: string;

  @ApiProperty({ description: 'Any JSON, at most 64 KiB', example: { title: 'Hello' }, ...ANY_JSON })
  data!: unknown;

  @ApiProperty({ format: 'uuid', nullable: true, type: String, description: "null: one of Gatehouse's own events" })
  sender_id!: string | null;

  @ApiProperty({ format: 'date-time', example: '2026-01-01T00:00:00.000Z' })
  created_at!: string;
}
