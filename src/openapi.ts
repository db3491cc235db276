import { STATUS_CODES } from 'node:http';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  ApiProperty,
  ApiPropertyOptional,
  DocumentBuilder,
  getSchemaPath,
  type OpenAPIObject,
  SwaggerModule,
} from '@nestjs/swagger';
import { ACCESS_EXTENSION, SCOPE_EXTENSION, SECURITY_SCHEMES } from './common/auth/access.decorator.js';
import { ERRORS_EXTENSION } from './common/http/api-errors.decorator.js';
import { VERSION } from './version.js';
import { API_PREFIX } from './server/rewrite-url.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Response = Exclude<NonNullable<Operation['responses'][string]>, { $ref: string }>;
type Schema = Record<string, unknown>;

const METHODS = ['get', 'put', 'post', 'delete', 'patch', 'head', 'options'] as const;
const REQUEST_ID = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';

export class ErrorResponse {
  @ApiProperty({ example: 'File not found', description: 'A sentence for people' })
  detail!: string;
  @ApiProperty({ enum: ['error'] })
  status!: 'error';
  @ApiProperty({ type: 'integer', example: 404, description: 'The HTTP status' })
  code!: number;
  @ApiProperty({ example: 'file_not_found', description: 'Stable, for programs' })
  error_code!: string;
  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: { type: 'array', items: { type: 'string' } },
    description: 'Field → sentences',
  })
  field_errors?: Record<string, string[]>;
  @ApiProperty({ example: REQUEST_ID })
  request_id!: string;
}

export class ShapeFaultResponse {
  @ApiProperty({
    type: 'array',
    items: { oneOf: [{ type: 'string' }, { type: 'integer' }] },
    example: ['body', 'email'],
  })
  loc!: (string | number)[];
  @ApiProperty({ example: 'field required' })
  msg!: string;
  @ApiProperty({ example: 'value_error.missing' })
  type!: string;
}

export class ValidationErrorResponse {
  @ApiProperty({
    description: 'The list of what is wrong with the shape of the request, or a sentence when a rule is broken',
    oneOf: [{ type: 'array', items: { $ref: getSchemaPath(ShapeFaultResponse) } }, { type: 'string' }],
  })
  detail!: ShapeFaultResponse[] | string;
  @ApiProperty({ enum: ['error'] })
  status!: 'error';
  @ApiProperty({ type: 'integer', example: 422 })
  code!: number;
  @ApiProperty({ example: 'validation_error' })
  error_code!: string;
  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'array', items: { type: 'string' } },
    example: { email: ['field required'] },
  })
  field_errors!: Record<string, string[]>;
  @ApiProperty({ example: REQUEST_ID })
  request_id!: string;
}

/** What each status says when a route says nothing more special. */
const ERROR_EXAMPLES: Record<number, [errorCode: string, detail: string]> = {
  400: ['malformed_request', 'The request could not be understood'],
  401: ['invalid_token', 'Could not validate credentials'],
  403: ['forbidden', 'Not enough permissions'],
  404: ['not_found', 'Not found'],
  408: ['upload_stalled', 'The upload made no progress for too long'],
  409: ['email_taken', 'Email already exists'],
  410: ['upload_expired', 'The file for this url no longer exists'],
  412: ['precondition_failed', 'The file does not meet the conditions of the request'],
  413: ['body_too_large', 'The request body is too large'],
  415: ['unsupported_media_type', 'The content type is not supported'],
  416: ['range_not_satisfiable', 'The file has no bytes in the requested range'],
  422: ['validation_error', ''],
  423: ['upload_locked', 'Another request is writing to this upload'],
  429: ['rate_limited', 'Too many requests. Please try again later.'],
  460: ['checksum_mismatch', 'The bytes do not have the checksum that was sent with them'],
  500: ['internal_error', 'Internal server error'],
  501: ['tus_extension_unsupported', 'Concatenation extension is not (yet) supported'],
  503: ['service_unavailable', 'The service is temporarily unavailable'],
  507: ['quota_exceeded', 'Storage quota exceeded'],
};

const DESCRIPTION = `Sign-up and sign-in, users, their sessions, their files and live channels behind one REST API.

**Sign in**: press *Authorize*. Use your email or username and password, or paste an access token or an API key. With a second factor, sign in by
\`POST /auth/login\` and \`POST /auth/mfa/verify\`, and paste the token.

**Errors** have one body everywhere; \`error_code\` is for programs, \`detail\` for people.

**Limits**: every answer carries \`X-RateLimit-Limit\`, \`X-RateLimit-Remaining\` and \`X-RateLimit-Reset\`; a 429 adds \`Retry-After\`.

**Live**: the events of sockets are described in [/asyncapi.json](/asyncapi.json).

**Root dialect**: \`/auth/…\` and \`/users/…\` without \`/api/v1\` are the same routes, answered as \`{"data": …, "status": "success", "code": 200}\`.`;

export function createDocument(app: NestFastifyApplication): OpenAPIObject {
  const options = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Gatehouse API')
    .setDescription(DESCRIPTION)
    .setVersion(VERSION)
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addServer('/')
    .addTag('auth', 'Signing up, in and out; sessions')
    .addTag('users', 'Accounts')
    .addTag('uploads', 'Files: streaming in, lists, downloads, links')
    .addTag('resumable uploads', 'The tus 1.0 protocol')
    .addTag('files', 'The routes of uploads under another name')
    .addTag('broadcasting', 'Channels: publishing, history, who may read, event streams')
    .addTag('admin', 'For administrators: everybody’s accounts and files, the audit log, statistics')
    .addTag('health', 'For load balancers and monitors')
    .addOAuth2(
      { type: 'oauth2', flows: { password: { tokenUrl: `${API_PREFIX}/auth/login`, scopes: {} } } },
      SECURITY_SCHEMES.password,
    )
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }, SECURITY_SCHEMES.bearer)
    .addApiKey(
      { type: 'apiKey', in: 'header', name: 'X-API-Key', description: 'From `POST /api/v1/users/me/api-keys`' },
      SECURITY_SCHEMES.apiKey,
    )
    .build();
  const document = SwaggerModule.createDocument(app, options, {
    extraModels: [ErrorResponse, ShapeFaultResponse, ValidationErrorResponse],
    autoTagControllers: false,
  });
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation) complete(path, method, operation);
    }
  }
  const statuses = Object.keys(ERROR_EXAMPLES).map(Number);
  const responses = Object.fromEntries(statuses.map((status) => [`Error${status}`, errorResponse(status)]));
  document.components = { ...document.components, responses, headers: HEADERS };
  return document;
}

/** Adds what follows from a route's policy, body and path, so that no controller has to repeat it. */
function complete(path: string, method: string, operation: Operation): void {
  operation.operationId = operationId(path, method);
  if (path.startsWith(`${API_PREFIX}/files`)) operation.tags = ['files'];
  const extensions = operation as unknown as Record<string, unknown>;
  const access = extensions[ACCESS_EXTENSION];
  const isLimited = !/\/(health|metrics)$/.test(path);
  const hasQuery = operation.parameters?.some((parameter) => 'in' in parameter && parameter.in === 'query');
  const statuses = new Set((extensions[ERRORS_EXTENSION] as number[] | undefined) ?? []);
  delete extensions[ERRORS_EXTENSION];
  operation.security = securityOf(access, extensions[SCOPE_EXTENSION]);
  if (access !== 'public' && access !== 'optional') {
    // 403: an API key without the scope, or any key where none is taken.
    statuses.add(401).add(403);
    operation.description = [operation.description, keyRule(extensions[SCOPE_EXTENSION])].filter(Boolean).join('\n\n');
  }
  if (operation.requestBody) statuses.add(400).add(413).add(415).add(422);
  if (hasQuery) statuses.add(422);
  if (/\{(user_)?id\}/.test(path)) statuses.add(404);
  if (isLimited) statuses.add(429).add(500).add(503);
  for (const [status, response] of Object.entries(operation.responses)) {
    if (!response || '$ref' in response) continue;
    response.description ||= STATUS_CODES[status] ?? 'Success';
    if (isLimited) response.headers = { ...headerRefs(RATE_LIMIT_HEADERS), ...response.headers };
  }
  for (const status of [...statuses].sort())
    operation.responses[status] ??= { $ref: `#/components/responses/Error${status}` };
}

/** The ways to sign in for a route: keys only where they are taken. */
function securityOf(access: unknown, scope: unknown): NonNullable<Operation['security']> {
  if (access === 'public') return [];
  const { apiKey, ...forSessions } = SECURITY_SCHEMES;
  const schemes = [...Object.values(forSessions), ...(access === 'optional' || scope !== undefined ? [apiKey] : [])];
  return [...(access === 'optional' ? [{}] : []), ...schemes.map((scheme) => ({ [scheme]: [] }))];
}

function keyRule(scope: unknown): string {
  if (scope === undefined) return 'Not for API keys.';
  return scope === 'any' ? 'For any API key.' : `API keys need the scope \`${scope as string}\`.`;
}

/** `GET /api/v1/auth/sessions/{id}` → `get_auth_sessions_id`: stable, and readable in a client made from it. */
const operationId = (path: string, method: string) =>
  [method, ...path.replace(API_PREFIX, path === `${API_PREFIX}/health` ? 'api' : '').split('/')]
    .map((part) => part.replace(/[{}]/g, '').replace(/-/g, '_'))
    .filter(Boolean)
    .join('_');

function errorResponse(status: number): Response {
  const isValidation = status === 422;
  const [errorCode, detail] = ERROR_EXAMPLES[status] ?? ['error', STATUS_CODES[status]];
  const example = { detail, status: 'error', code: status, error_code: errorCode, request_id: REQUEST_ID };
  const shape = {
    detail: [{ loc: ['body', 'email'], msg: 'field required', type: 'value_error.missing' }],
    field_errors: { email: ['field required'] },
  };
  return {
    description: STATUS_CODES[status] ?? 'Checksum Mismatch',
    headers: headerRefs([
      ...RATE_LIMIT_HEADERS,
      ...(status === 401 ? ['WWW-Authenticate'] : []),
      ...(status === 429 || status === 503 ? ['Retry-After'] : []),
      ...(status === 429 ? ['X-RateLimit-Retry-After'] : []),
    ]),
    content: {
      'application/json': {
        schema: { $ref: getSchemaPath(isValidation ? ValidationErrorResponse : ErrorResponse) },
        example: isValidation ? { ...example, ...shape } : example,
      },
    },
  };
}

const RATE_LIMIT_HEADERS = ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'];

const headerRefs = (names: string[]) =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));

const integerHeader = (description: string, example: number) => ({
  description,
  schema: { type: 'integer' as const },
  example,
});

const HEADERS = {
  'X-RateLimit-Limit': integerHeader('Of the limit that is nearest to exhaustion', 100),
  'X-RateLimit-Remaining': integerHeader('Calls left', 95),
  'X-RateLimit-Reset': integerHeader('Unix seconds', 1_767_225_600),
  'X-RateLimit-Retry-After': integerHeader('Seconds', 42),
  'Retry-After': integerHeader('Seconds', 42),
  'WWW-Authenticate': { schema: { type: 'string' as const }, example: 'Bearer' },
};

/** The document of the root dialect: the same routes without the prefix, answers in the envelope. */
export function toRootDialect(document: OpenAPIObject): OpenAPIObject {
  const copy = structuredClone(document);
  const isShared = ([path]: [string, unknown]) => /^\/api\/v1\/(auth|users)/.test(path);
  copy.paths = Object.fromEntries(
    Object.entries(copy.paths)
      .filter(isShared)
      .map(([path, item]) => [path.slice(API_PREFIX.length), item]),
  );
  copy.info.title = 'Gatehouse API, root dialect';
  for (const item of Object.values(copy.paths)) {
    for (const method of METHODS) {
      for (const [status, response] of Object.entries(item[method]?.responses ?? {})) {
        const content = response && 'content' in response ? response.content?.['application/json'] : undefined;
        if (content?.schema && Number(status) < 300) {
          content.schema = envelope(content.schema as Schema, Number(status));
          delete content.example;
        }
      }
    }
  }
  return copy;
}

const envelope = (data: Schema, code: number) => ({
  type: 'object' as const,
  required: ['data', 'status', 'code'],
  properties: {
    data,
    status: { type: 'string' as const, enum: ['success'] },
    code: { type: 'integer' as const, example: code },
  },
});
