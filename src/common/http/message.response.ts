import { ApiProperty } from '@nestjs/swagger';

export class MessageResponse {
  @ApiProperty({ example: 'Password changed successfully' })
  message!: string;

  static of(message: string): MessageResponse {
    return { message };
  }
}
