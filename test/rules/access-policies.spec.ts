import { Controller, Get, Module } from '@nestjs/common';
import { ModulesContainer, Reflector } from '@nestjs/core';
import { PATH_METADATA } from '@nestjs/common/constants';
import { Test } from '@nestjs/testing';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AccessGuard } from '../../src/auth/guards/access.guard.js';
import { RolesGuard } from '../../src/auth/guards/roles.guard.js';
import { CallerIdentityService } from '../../src/auth/caller-identity.service.js';
import { ACCESS_POLICY, Authenticated, Roles, SessionOnly } from '../../src/common/auth/access.decorator.js';
import { startTestApp } from '../support/test-app.js';

type Controllers = (new (...args: never[]) => object)[];

const routesOf = (controllers: Controllers) =>
  controllers.flatMap((controller) =>
    Object.getOwnPropertyNames(controller.prototype)

      .filter(
        (name) => name !== 'constructor' && Reflect.hasMetadata(PATH_METADATA, controller.prototype[name] as object),
      )
      .map((name) => ({ controller, name, handler: controller.prototype[name] as () => unknown })),
  );

const withoutPolicy = (controllers: Controllers) =>
  routesOf(controllers)
    .filter(({ controller, handler }) => !new Reflector().getAllAndOverride(ACCESS_POLICY, [handler, controller]))
    .map(({ controller, name }) => `${controller.name}.${name}`);

@Controller('sample')
class SampleController {
  @Get('silent')
  silent() {
    return {};
  }

  @Get('members')
  @Authenticated('users:read')
  members() {
    return {};
  }

  @Get('admins')
  @Roles('admin')
  admins() {
    return {};
  }

  @Get('people')
  @SessionOnly()
  people() {
    return {};
  }

  @Get('admins-themselves')
  @SessionOnly('admin')
  adminsThemselves() {
    return {};
  }
}

describe('access policies', () => {
  it('every route of the program states its policy', async () => {
    const app = await startTestApp();
    const modules = [...app.app.get(ModulesContainer).values()];
    const controllers = modules.flatMap((module) =>
      [...module.controllers.values()].map(({ metatype }) => metatype),
    ) as Controllers;
    await app.close();
    expect(routesOf(controllers).length).toBeGreaterThan(15);
    expect(withoutPolicy(controllers)).toEqual([]);
  });

  it('finds a route that states none', () => {
    expect(withoutPolicy([SampleController])).toEqual(['SampleController.silent']);
  });

  describe('at work', () => {
    let app: NestFastifyApplication;
    let role: 'user' | 'admin';
    /** Of an API key; `null` for a session. */
    let scopes: string[] | null;

    beforeAll(async () => {
      @Module({
        controllers: [SampleController],
        providers: [
          {
            provide: CallerIdentityService,
            useValue: {
              ofRequest: async (request: { headers: object }) =>
                'authorization' in request.headers
                  ? { id: 'x', role, account: { role }, apiKey: scopes && { id: 'k', scopes: new Set(scopes) } }
                  : null,
            },
          },
        ],
      })
      class SampleModule {}
      const module = await Test.createTestingModule({ imports: [SampleModule] }).compile();
      app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
      app.useGlobalGuards(
        new AccessGuard(app.get(Reflector), app.get(CallerIdentityService)),
        new RolesGuard(app.get(Reflector)),
      );
      app.useGlobalFilters({
        catch: ({ kind, code }: { kind: string; code: string }, host) =>
          host.switchToHttp().getResponse().status(400).send({ kind, code }),
      });
      await app.init();
    });
    afterAll(() => app.close());

    const get = async (path: string, as?: 'user' | 'admin', keyScopes: string[] | null = null) => {
      [role, scopes] = [as ?? 'user', keyScopes];
      const answer = await app.inject({ path: `/sample/${path}`, headers: as ? { authorization: 'Bearer x' } : {} });
      const { kind, code } = answer.json<{ kind: string; code: string }>();
      if (answer.statusCode === 200) return 'let in';
      return code === 'insufficient_scope' ? code : kind;
    };

    it('refuses a route without a policy to everybody', async () => {
      expect([await get('silent'), await get('silent', 'user'), await get('silent', 'admin')]).toEqual(
        Array(3).fill('forbidden'),
      );
    });

    it('lets only known callers into an authenticated route', async () => {
      expect([await get('members'), await get('members', 'user')]).toEqual(['unauthenticated', 'let in']);
    });

    it('lets only holders of the role into a route for it', async () => {
      expect([await get('admins'), await get('admins', 'user'), await get('admins', 'admin')]).toEqual([
        'unauthenticated',
        'forbidden',
        'let in',
      ]);
    });

    it.each([
      ['members', ['users:read'], 'let in'],
      ['members', ['users:write', 'admin'], 'insufficient_scope'],
      ['members', [], 'insufficient_scope'],
      ['admins', ['admin'], 'let in'],
      ['admins', ['users:read'], 'insufficient_scope'],
      ['people', ['users:read', 'admin'], 'insufficient_scope'],
      ['admins-themselves', ['admin'], 'insufficient_scope'],
      ['silent', ['admin'], 'forbidden'],
    ])("an admin's key to %s with the scopes %j: %s", async (path, keyScopes, outcome) => {
      expect(await get(path, 'admin', keyScopes)).toBe(outcome);
    });

    it('lets people into what is for sessions alone, by their role', async () => {
      expect([await get('people', 'user'), await get('admins-themselves', 'user')]).toEqual(['let in', 'forbidden']);
      expect([await get('people', 'admin'), await get('admins-themselves', 'admin')]).toEqual(['let in', 'let in']);
    });
  });
});
