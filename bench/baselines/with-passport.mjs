// The product with one more route, `GET /passport/me`, which asks Passport's guard instead of ours. What it answers is the same.
import { Controller, Get, Module, Req, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import pino from 'pino';
import { AppModule } from '../../dist/src/app.module.js';
import { configureApp } from '../../dist/src/app.setup.js';
import { AuthModule } from '../../dist/src/auth/auth.module.js';
import { Public } from '../../dist/src/common/auth/access.decorator.js';
import { loadConfig } from '../../dist/src/config/load-config.js';
import { createHttpAdapter } from '../../dist/src/server/http-server.js';
import { UserResponse } from '../../dist/src/users/dto/user.response.js';

const decorate = (decorators, ...target) => decorators.reverse().forEach((decorator) => decorator(...target));

class PassportController {
  me(request) {
    return UserResponse.from(request.user.account);
  }
}
const { prototype } = PassportController;
const descriptor = Object.getOwnPropertyDescriptor(prototype, 'me');
Req()(prototype, 'me', 0);
decorate([Get('me'), Public(), UseGuards(AuthGuard('jwt'))], prototype, 'me', descriptor);
Controller('passport')(PassportController);

class PassportBenchModule {}
const config = loadConfig(process.env);
Module({
  imports: [AppModule.with(config, { url: config.database.url }), AuthModule],
  controllers: [PassportController],
})(PassportBenchModule);

const options = { bodyParser: false, logger: false };
const app = await NestFactory.create(PassportBenchModule, createHttpAdapter(config), options);
configureApp(app, pino({ level: config.log.level }, pino.destination({ dest: 1, sync: false, minLength: 4096 })));
await app.listen({ host: config.http.host, port: config.http.port });
process.once('SIGTERM', () => process.exit(0));
