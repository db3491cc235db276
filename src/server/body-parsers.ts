import { isUtf8 } from 'node:buffer';
import { parse as parseForm } from 'node:querystring';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { MalformedRequestError, UnsupportedMediaTypeError } from '../common/errors/errors.js';
import { refuseUnlikeJson } from '../common/validation/json-value.js';
import { isPercentEncodedUtf8 } from './percent-encoding.js';

/** Bodies that only routes with `@StreamedBody()` take. */
const STREAMED_TYPES = ['multipart/form-data', 'application/offset+octet-stream'];

/** JSON for every route, forms and streams for the routes that take them, nothing else. */
export function addBodyParsers(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    settle(done, () => parseJson(text(request, body)));
  });
  server.addContentTypeParser<Buffer>(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer' },
    (request, body, done) => {
      settle(done, () => {
        if (!request.routeOptions.config.acceptsForm)
          throw new UnsupportedMediaTypeError('The content type is not supported');
        return parseFormText(text(request, body));
      });
    },
  );
  for (const type of STREAMED_TYPES) {
    server.addContentTypeParser(type, (request, _stream, done) => {
      settle(done, () => {
        if (request.routeOptions.config.streamedBody !== type)
          throw new UnsupportedMediaTypeError('The content type is not supported');
        refuseCompressed(request);
      });
    });
  }
}

function refuseCompressed({ headers }: FastifyRequest): void {
  if ((headers['content-encoding'] ?? 'identity') !== 'identity')
    throw new UnsupportedMediaTypeError('Compressed bodies are not supported');
}

function settle(done: (error: Error | null, body?: unknown) => void, parse: () => unknown): void {
  try {
    done(null, parse());
  } catch (error) {
    done(error as Error);
  }
}

/** RFC 8259, section 8.1: JSON between systems is UTF-8. Bytes that are not would be replaced silently further on. */
function text(request: FastifyRequest, body: Buffer): string {
  refuseCompressed(request);
  const { 'content-type': type = '' } = request.headers;
  const charset = /;\s*charset="?([^\s;"]+)/i.exec(type)?.[1];
  if (charset && !/^(utf-?8|us-ascii)$/i.test(charset)) throw new UnsupportedMediaTypeError('The body must be UTF-8');
  if (!isUtf8(body)) throw new MalformedRequestError('The body is not valid UTF-8', 'invalid_utf8');
  return body.toString('utf8');
}

function parseFormText(source: string): Record<string, unknown> {
  if (!isPercentEncodedUtf8(source)) throw new MalformedRequestError('The body is not valid UTF-8', 'invalid_utf8');
  return { ...parseForm(source) };
}

function parseJson(source: string): unknown {
  if (source.trim() === '') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    throw new MalformedRequestError('The body is not valid JSON', 'malformed_json');
  }
  refuseUnlikeJson(value, 'body');
  return value;
}
