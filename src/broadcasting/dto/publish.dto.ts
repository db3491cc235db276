import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsString, Matches } from 'class-validator';
import { FreeForm, Optional, TextLength } from '../../common/validation/fields.js';
import { ONE_LINE } from '../../common/validation/one-line.js';
import { ChannelField } from './fields.js';
import { ANY_JSON } from './channel-message.response.js';

const NAME_MAX = 128;

export class PublishDto {
  @ChannelField()
  channel!: string;

  @ApiProperty({ type: String, maxLength: NAME_MAX, example: 'article.published' })
  @IsString()
  @TextLength(1, NAME_MAX)
  @Matches(ONE_LINE, { message: '$property must not contain control characters' })
  event!: string;

  @ApiPropertyOptional({
    description: 'Any JSON, at most 64 KiB; null when it is left out',
    example: { title: 'Hello' },
    ...ANY_JSON,
  })
  @FreeForm()
  data?: unknown;

  @ApiPropertyOptional({
    type: String,
    maxLength: NAME_MAX,
    description:
      'A name of your own for this message: publishing it again answers the first result. Remembered as long as the message is kept, and ten minutes at least',
    example: 'order-4711-paid',
  })
  @Optional()
  @IsString()
  @TextLength(1, NAME_MAX)
  @Matches(ONE_LINE, { message: '$property must not contain control characters' })
  idempotency_key?: string;

  @ApiPropertyOptional({
    default: true,
    description: 'false: sent to those who are connected now, and not kept; it has no sequence',
  })
  @Optional()
  @IsBoolean()
  durable: boolean = true;
}
