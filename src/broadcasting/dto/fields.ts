import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { IsString, Matches } from 'class-validator';
import { CHANNEL_NAME_PATTERN } from '../channels/channel-name.js';

export const ChannelField = (example = 'news') =>
  applyDecorators(
    ApiProperty({ type: String, pattern: CHANNEL_NAME_PATTERN.source, example }),
    IsString(),
    Matches(CHANNEL_NAME_PATTERN, { message: '$property must be 1 to 128 of A-Z a-z 0-9 _ . : -' }),
  );

/** Fifteen digits: what a query string may say, and more than any channel will have. */
export const SEQUENCE_MAX = 999_999_999_999_999;
