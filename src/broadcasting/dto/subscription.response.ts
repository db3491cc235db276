import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';

/** A user as presence shows one. */
export class MemberResponse {
  @ApiProperty({ format: 'uuid', example: '7d1f8b0e-6a44-4d0e-9a6b-2f5c1d3e4a5b' })
  id!: string;

  @ApiProperty({ example: 'john_doe' })
  username!: string;

  @ApiProperty({ type: String, nullable: true, example: 'John Doe' })
  full_name!: string | null;
}

/** The acknowledgement of `subscribe`; the messages follow it. */
export class SubscriptionResponse {
  @ApiProperty({ enum: [true] })
  ok!: true;

  @ApiProperty({ example: 'news' })
  channel!: string;

  @ApiProperty({ format: 'uuid', description: 'Another one than before: sequences have begun anew' })
  epoch!: string;

  @ApiProperty({ type: 'integer', example: 42, description: 'The last message that the channel has' })
  sequence!: number;

  @ApiProperty({
    description:
      'false: not everything after `after` is kept any more, or it belongs to another epoch; what is kept follows, from `first_sequence` on',
  })
  recovered!: boolean;

  @ApiPropertyOptional({
    type: 'integer',
    example: 17,
    description: 'Where the kept history begins, when recovered is false',
  })
  first_sequence?: number;

  @ApiPropertyOptional({ type: [MemberResponse], description: 'Who is present, in presence channels' })
  members?: MemberResponse[];
}
