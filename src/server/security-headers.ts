import type { SecurityHeadersOptions } from '@nestjs/common';
import type { FastifyCorsOptions } from '@fastify/cors';
import type { AppConfig } from '../config/app-config.js';

const PREFLIGHT_SECONDS = 600;

/** An API's answers load nothing and are framed by nobody. HSTS is sent only where `PUBLIC_URL` says that there is TLS. */
export function securityHeaders({ http }: AppConfig): SecurityHeadersOptions {
  return {
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    crossOriginResourcePolicy: { policy: 'same-site' },
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
    // For browsers that are gone, or for pages; the docs page is covered by its policy.
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
    strictTransportSecurity: http.publicUrl?.startsWith('https:') ?? false,
  };
}

/** Listed origins only, and no credentials: Gatehouse sets no cookies, a browser application sends its token itself. */
export function corsOptions({ http }: AppConfig): FastifyCorsOptions {
  const options: FastifyCorsOptions = {
    origin: [...http.corsOrigins],
    credentials: false,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    allowedHeaders: [
      ...[
        'Authorization',
        'Content-Type',
        'X-API-Key',
        'Range',
        'If-Range',
        'If-Match',
        'If-None-Match',
        'Last-Event-ID',
      ],
      ...['If-Modified-Since', 'If-Unmodified-Since', 'Upload-Defer-Length', 'Upload-Concat'],
      ...['Tus-Resumable', 'Upload-Length', 'Upload-Metadata', 'Upload-Offset', 'Upload-Checksum'],
    ],
    exposedHeaders: [
      ...['X-Request-Id', 'Retry-After', 'WWW-Authenticate'],
      ...['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset', 'X-RateLimit-Retry-After'],
      ...['Location', 'Content-Location', 'Content-Disposition', 'Content-Range', 'Accept-Ranges', 'ETag'],
      ...['Tus-Resumable', 'Tus-Version', 'Tus-Extension', 'Tus-Max-Size', 'Tus-Checksum-Algorithm'],
      ...['Upload-Offset', 'Upload-Length', 'Upload-Expires', 'Upload-Metadata'],
    ],
    maxAge: PREFLIGHT_SECONDS,
  };
  // OPTIONS is a method of tus, too: what does not ask for another method is no preflight.
  const withoutPreflight = { ...options, preflight: false };
  return {
    delegator: ({ headers }, choose) =>
      choose(null, headers['access-control-request-method'] === undefined ? withoutPreflight : options),
  };
}
