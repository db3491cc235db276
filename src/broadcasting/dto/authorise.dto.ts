import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsString } from 'class-validator';
import { Optional, TextLength } from '../../common/validation/fields.js';
import { ChannelField } from './fields.js';

export class AuthoriseDto {
  @ChannelField()
  channel_name!: string;

  @ApiPropertyOptional({
    type: String,
    maxLength: 128,
    description: 'For clients that send it; the answer does not depend on it',
  })
  @Optional()
  @IsString()
  @TextLength(0, 128)
  socket_id?: string;
}

export class AuthorisedResponse {
  @ApiProperty({ example: 'news' })
  channel!: string;

  @ApiProperty({ enum: [true] })
  allowed!: true;
}
