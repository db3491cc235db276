import { ApiProperty } from '@nestjs/swagger';
import { ArrayMaxSize, ArrayMinSize, IsArray, IsString } from 'class-validator';

const IDS_MAX = 100;

export class BulkDeleteDto {
  @ApiProperty({
    type: [String],
    minItems: 1,
    maxItems: IDS_MAX,
    example: ['0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88'],
  })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(IDS_MAX)
  @IsString({ each: true })
  ids!: string[];
}

export class BulkDeleteFailureResponse {
  @ApiProperty()
  id!: string;

  @ApiProperty({ example: 'file_not_found' })
  error_code!: string;
}

export class BulkDeleteResponse {
  @ApiProperty({ type: [String], example: ['0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88'] })
  deleted!: string[];

  @ApiProperty({ type: [BulkDeleteFailureResponse], example: [] })
  failed!: BulkDeleteFailureResponse[];
}
