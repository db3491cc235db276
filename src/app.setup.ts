import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import { AppModule } from './app.module.js';
import { SocketServerAdapter } from './broadcasting/gateway/socket-server.adapter.js';
import { AppConfig } from './config/app-config.js';
import type { Connection } from './database/connection.js';
import { addRequestMetrics, RequestMetrics } from './metrics/request-metrics.js';
import { addBodyHooks } from './server/body.hooks.js';
import { addBodyParsers } from './server/body-parsers.js';
import { addDocs } from './server/docs/docs.js';
import { AllowedMethods } from './server/errors/allowed-methods.js';
import { createHttpAdapter } from './server/http-server.js';
import { PinoLogger } from './server/logging/pino-logger.js';
import { addRequestLog } from './server/logging/request-log.js';
import { RateLimiter } from './server/rate-limit/rate-limiter.js';
import { addRootDialect } from './server/root-dialect.js';
import { corsOptions, securityHeaders } from './server/security-headers.js';
import { addServerHooks } from './server/server.hooks.js';

/** The application, ready for `listen()`; what the tests drive is what users get. */
export async function createApp(
  config: AppConfig,
  connection: Connection,
  logger: Logger,
): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.with(config, connection),
    createHttpAdapter(config),
    {
      logger: new PinoLogger(logger),
      bodyParser: false,
      abortOnError: false,
    },
  );
  app.useWebSocketAdapter(await SocketServerAdapter.create(app, config));
  configureApp(app, logger);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}

/** Everything around the modules, in the order in which a request meets it. */
export function configureApp(app: NestFastifyApplication, logger: Logger): void {
  const config = app.get(AppConfig);
  const server = app.getHttpAdapter().getInstance();
  app.get(AllowedMethods).watch(server);
  addRequestMetrics(server, app.get(RequestMetrics));
  app.useSecurityHeaders(securityHeaders(config));
  if (config.http.corsOrigins.length > 0) app.enableCors(corsOptions(config));
  addServerHooks(server, app.get(RateLimiter));
  addRequestLog(server, logger);
  addBodyHooks(server, config.http.requestTimeoutSeconds);
  addBodyParsers(server);
  addRootDialect(server);
  addDocs(app);
}
