import { createHmac } from 'node:crypto';
import { tmpdir } from 'node:os';
import { Controller, Get, Module, Req, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AuthGuard } from '@nestjs/passport';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import pino from 'pino';
import supertest from 'supertest';
import { AppModule } from '../../src/app.module.js';
import { configureApp } from '../../src/app.setup.js';
import { AuthModule } from '../../src/auth/auth.module.js';
import { Public } from '../../src/common/auth/access.decorator.js';
import type { Principal } from '../../src/common/auth/principal.js';
import { loadConfig } from '../../src/config/load-config.js';
import { createHttpAdapter } from '../../src/server/http-server.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';

const SECRET = 'a secret of the Passport test: 0123456789abcdef';
const account = { email: 'pass@example.com', username: 'passer', password: 'SecurePass123!' };

/** What another module of an application would write. */
@Controller('passport')
class PassportController {
  @Get('me')
  @Public()
  @UseGuards(AuthGuard('jwt'))
  me(@Req() request: { user: Principal }) {
    return { id: request.user.id };
  }
}

describe("AuthGuard('jwt')", () => {
  let app: NestFastifyApplication;
  let database: TestDatabase;
  let http: ReturnType<typeof supertest>;
  let token: string;

  beforeAll(async () => {
    database = await createTestDatabase();
    const config = loadConfig({
      JWT_SECRET: SECRET,
      DATA_DIR: tmpdir(),
      BCRYPT_COST: '10',
      RATE_LIMIT_ENABLED: 'false',
    });
    @Module({ imports: [AppModule.with(config, database.connection), AuthModule], controllers: [PassportController] })
    class HostModule {}
    app = await NestFactory.create<NestFastifyApplication>(HostModule, createHttpAdapter(config), {
      logger: false,
      bodyParser: false,
    });
    configureApp(app, pino({ level: 'silent' }));
    await app.listen({ port: 0, host: '127.0.0.1' });
    http = supertest(await app.getUrl());
    await http.post('/api/v1/auth/register').send(account).expect(201);
    token = (await http.post('/api/v1/auth/login').send({ username: account.username, password: account.password }))
      .body.access_token;
  });
  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = (claims: object, key = SECRET, algorithm = 'HS256') => {
    const content = `${part({ alg: algorithm, typ: 'JWT' })}.${part(claims)}`;
    const hash = { HS256: 'sha256', HS512: 'sha512' }[algorithm];
    return `${content}.${hash ? createHmac(hash, key).update(content).digest('base64url') : ''}`;
  };
  const claims = (changes: object = {}) => ({
    ...JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString()),
    ...changes,
  });
  const past = Math.floor(Date.now() / 1000) - 60;

  it.each<[string, number, () => string | undefined]>([
    ['a good token', 200, () => token],
    ['no token', 401, () => undefined],
    ['nonsense', 401, () => 'abc'],
    ['another key', 401, () => signed(claims(), 'another key, just as long: 0123456789')],
    ['another algorithm', 401, () => signed(claims(), SECRET, 'HS512')],
    ['no algorithm', 401, () => signed(claims(), SECRET, 'none')],
    ['another issuer', 401, () => signed(claims({ iss: 'someone' }))],
    ['another audience', 401, () => signed(claims({ aud: 'something' }))],
    ['an expired token', 401, () => signed(claims({ exp: past }))],
    ['a token of the future', 401, () => signed(claims({ nbf: past + 3600 }))],
    ['an unknown session', 401, () => signed(claims({ sid: '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88' }))],
    ["another user's session", 401, () => signed(claims({ sub: '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88' }))],
  ])('answers %s with %d, as our own guard does', async (_title, status, tokenOf) => {
    const given = tokenOf();
    const headers: Record<string, string> = given ? { Authorization: `Bearer ${given}` } : {};
    const byPassport = await http.get('/passport/me').set(headers);
    const byUs = await http.get('/api/v1/users/me').set(headers);
    expect([byPassport.status, byUs.status]).toEqual([status, status]);
    expect(byPassport.body.id).toBe(byUs.body.id);
    expect(byPassport.body.detail).toBe(byUs.body.detail);
  });

  it('lets nobody in whose session is over', async () => {
    const auth = { Authorization: `Bearer ${token}` };
    await http.post('/api/v1/auth/logout').set(auth).expect(204);
    await http.get('/passport/me').set(auth).expect(401);
  });
});
