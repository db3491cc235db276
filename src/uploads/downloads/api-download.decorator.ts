import { applyDecorators } from '@nestjs/common';
import { ApiOkResponse, ApiProduces, ApiResponse } from '@nestjs/swagger';
import { ApiErrors } from '../../common/http/api-errors.decorator.js';

const text = (description: string, example: string) => ({ description, schema: { type: 'string' as const }, example });

const HEADERS = {
  ETag: text('The hash of the bytes', `"sha256:${'9f86d081'.repeat(8)}"`),
  'Last-Modified': text('When the file came', 'Thu, 01 Jan 2026 00:00:00 GMT'),
  'Accept-Ranges': text('Parts can be asked for', 'bytes'),
  'Content-Disposition': text('RFC 6266', 'attachment; filename="document.pdf"'),
};

const bytes = (description: string, headers: object) => ({
  description,
  headers: headers as typeof HEADERS,
  content: { 'application/octet-stream': { schema: { type: 'string' as const, format: 'binary' } } },
});

/** The answers of a route that sends a file. */
export const ApiDownload = (...errors: number[]) =>
  applyDecorators(
    ApiProduces('application/octet-stream'),
    ApiOkResponse(bytes('The bytes, with the type of the file', HEADERS)),
    ApiResponse({
      status: 206,
      ...bytes('The part that was asked for', { ...HEADERS, 'Content-Range': text('Which part', 'bytes 0-499/1234') }),
    }),
    ApiResponse({ status: 302, description: 'The bytes are at `Location` (S3_PRESIGNED_DOWNLOADS=true)' }),
    ApiResponse({ status: 304, description: 'The copy that the client has is still the file' }),
    ApiErrors(412, 416, 503, ...errors),
  );
