import { ApiProperty } from '@nestjs/swagger';
import { fileHash, type StoredFile } from '../stored-file.entity.js';

const EXAMPLE_ID = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const EXAMPLE_TIME = '2026-01-01T00:00:00.000Z';

export class FileResponse {
  @ApiProperty({ format: 'uuid', example: EXAMPLE_ID })
  id!: string;

  @ApiProperty({ example: 'document.pdf', description: 'What the owner calls it; can be changed' })
  filename!: string;

  @ApiProperty({ example: 'my-document.pdf', description: 'The name it came with, and downloads as' })
  original_filename!: string;

  @ApiProperty({ example: 'application/pdf' })
  content_type!: string;

  @ApiProperty({ type: 'integer', example: 1_048_576, description: 'Bytes' })
  file_size!: number;

  @ApiProperty({ pattern: '^sha256:[0-9a-f]{64}$', example: `sha256:${'9f86d081'.repeat(8)}` })
  file_hash!: string;

  @ApiProperty({ type: String, nullable: true, example: 'Important document' })
  description!: string | null;

  @ApiProperty({ format: 'date-time', example: EXAMPLE_TIME })
  upload_date!: string;

  @ApiProperty({ format: 'date-time', example: EXAMPLE_TIME })
  updated_at!: string;

  @ApiProperty({ format: 'uuid', example: EXAMPLE_ID, description: 'The owner' })
  user_id!: string;

  static from(file: StoredFile): FileResponse {
    return {
      id: file.id,
      filename: file.filename,
      original_filename: file.originalFilename,
      content_type: file.contentType,
      file_size: file.fileSize,
      file_hash: fileHash(file),
      description: file.description,
      upload_date: file.uploadDate.toISOString(),
      updated_at: file.updatedAt.toISOString(),
      user_id: file.ownerId,
    };
  }
}
