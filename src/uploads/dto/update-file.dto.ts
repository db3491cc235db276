import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsString } from 'class-validator';
import { Normalised, Optional, TextLength } from '../../common/validation/fields.js';
import { DescriptionField } from './fields.js';

export class UpdateFileDto {
  @DescriptionField()
  description?: string | null;

  @ApiPropertyOptional({
    type: String,
    minLength: 1,
    maxLength: 255,
    example: 'new-name.pdf',
    description: 'For display only: paths and control characters are taken out; the download keeps its original name',
  })
  @Optional()
  @Normalised()
  @IsString()
  @TextLength(1, 255)
  filename?: string;
}
