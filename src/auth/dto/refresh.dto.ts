import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsString } from 'class-validator';
import { Optional, SecretField } from '../../common/validation/fields.js';

export class RefreshDto {
  @SecretField({ example: 'AZfwoHsc…' })
  refresh_token!: string;
}

export class LogoutDto {
  @ApiPropertyOptional({ type: String, description: 'Ends this session as well, if it is the caller’s' })
  @Optional()
  @IsString()
  refresh_token?: string;
}
