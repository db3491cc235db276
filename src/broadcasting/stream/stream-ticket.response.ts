import { ApiProperty } from '@nestjs/swagger';

export class StreamTicketResponse {
  @ApiProperty({ example: 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9…' })
  ticket!: string;

  @ApiProperty({ type: 'integer', example: 60, description: 'Seconds in which the ticket opens streams' })
  expires_in!: number;
}
