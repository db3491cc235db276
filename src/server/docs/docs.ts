import fastifyStatic from '@fastify/static';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply } from 'fastify';
import { dump } from 'js-yaml';
// The package's main file would run the whole of Swagger UI in this process.
import absolutePath from 'swagger-ui-dist/absolute-path.js';
import { createAsyncDocument } from '../../asyncapi.js';
import { createDocument, toRootDialect } from '../../openapi.js';

const ASSETS = ['swagger-ui.css', 'swagger-ui-bundle.js', 'swagger-ui-standalone-preset.js', 'favicon-32x32.png'];
const ASSET_MAX_AGE_MS = 24 * 60 * 60 * 1000;

/** Of the style element inside Swagger UI's logo; a test in a browser finds it out when a new version changes it. */
const LOGO_STYLE_HASH = 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w=';

/** Scripts and styles come from this server alone; Swagger UI draws its icons as data URLs. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  `style-src 'self' '${LOGO_STYLE_HASH}'`,
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join(';');

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Gatehouse API</title>
    <link rel="icon" href="/docs/assets/favicon-32x32.png">
    <link rel="stylesheet" href="/docs/assets/swagger-ui.css">
    <link rel="stylesheet" href="/docs/page.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="/docs/assets/swagger-ui-bundle.js"></script>
    <script src="/docs/assets/swagger-ui-standalone-preset.js"></script>
    <script src="/docs/page.js"></script>
  </body>
</html>
`;

const STYLE = `body { margin: 0; }
.swagger-ui .topbar { background: #1f2937; padding: 6px 0; }
.swagger-ui .topbar-wrapper .link { visibility: hidden; width: 0; }
`;

const SCRIPT = `window.ui = SwaggerUIBundle({
  urls: [
    { url: '/openapi.json', name: 'API (/api/v1)' },
    { url: '/openapi-root.json', name: 'Root dialect (/auth, /users)' },
  ],
  dom_id: '#swagger-ui',
  deepLinking: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  layout: 'StandaloneLayout',
});

// The dialog focuses its last field, the API key's, and so opens scrolled past username and password.
let dialog = null;
new MutationObserver(() => {
  const opened = document.querySelector('.modal-ux-content');
  if (opened === dialog) return;
  dialog = opened;
  if (!opened) return;
  opened.querySelector('#oauth_username')?.focus();
  opened.scrollTop = 0;
}).observe(document.getElementById('swagger-ui'), { childList: true, subtree: true });
`;

/**
 * Swagger UI at `/docs`, the document at `/openapi.json` and `/openapi.yaml`, the one of sockets at `/asyncapi.json`. Each is made when
 * somebody first asks for it.
 */
export function addDocs(app: NestFastifyApplication): void {
  const server = app.getHttpAdapter().getInstance();
  const document = once(() => createDocument(app));
  const routes: Record<string, [type: string, body: () => string]> = {
    '/docs': ['text/html; charset=utf-8', () => PAGE],
    '/docs/page.css': ['text/css; charset=utf-8', () => STYLE],
    '/docs/page.js': ['text/javascript; charset=utf-8', () => SCRIPT],
    '/openapi.json': ['application/json; charset=utf-8', once(() => JSON.stringify(document(), null, 2))],
    '/openapi.yaml': ['application/yaml; charset=utf-8', once(() => dump(document(), { noRefs: true }))],
    '/openapi-root.json': [
      'application/json; charset=utf-8',
      once(() => JSON.stringify(toRootDialect(document()), null, 2)),
    ],
    '/asyncapi.json': [
      'application/json; charset=utf-8',
      once(() => JSON.stringify(createAsyncDocument(app), null, 2)),
    ],
  };
  for (const [url, [type, body]] of Object.entries(routes)) {
    server.get(url, { config: { rateLimit: 'none' } }, (_request, reply: FastifyReply) =>
      reply.header('Content-Security-Policy', PAGE_POLICY).header('Cache-Control', 'no-cache').type(type).send(body()),
    );
  }
  void server.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, rateLimit: 'none' };
    });
    await scope.register(fastifyStatic, {
      root: absolutePath(),
      prefix: '/docs/assets/',
      index: false,
      cacheControl: true,
      maxAge: ASSET_MAX_AGE_MS,
      allowedPath: (path) => ASSETS.includes(path.replace(/^\/+/, '')),
    });
  });
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}
