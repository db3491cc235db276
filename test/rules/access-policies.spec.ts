import { Controller, Get, Module } from '@nestjs/common';
import { ModulesContainer, Reflector } from '@nestjs/core';
import { PATH_METADATA } from '@nestjs/common/constants';
import { Test } from '@nestjs/testing';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { AccessGuard } from '../../src/auth/guards/access.guard.js';
import { RolesGuard } from '../../src/auth/guards/roles.guard.js';
import { AccessService } from '../../src/auth/access.service.js';
import { CallerIdentityService } from '../../src/auth/caller-identity.service.js';
import { ACCESS_POLICY, Authenticated, Roles } from '../../src/common/auth/access.decorator.js';
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

    beforeAll(async () => {
      @Module({
        controllers: [SampleController],
        providers: [
          {
            provide: CallerIdentityService,
            useValue: {
              ofRequest: async (request: { headers: object }) =>
                'authorization' in request.headers ? { id: 'x', role } : null,
            },
          },
          { provide: AccessService, useValue: { awaitsSecondFactor: () => false } },
        ],
      })
      class SampleModule {}
      const module = await Test.createTestingModule({ imports: [SampleModule] }).compile();
      app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
      app.useGlobalGuards(
        new AccessGuard(app.get(Reflector), app.get(CallerIdentityService)),
        new RolesGuard(app.get(Reflector), app.get(AccessService)),
      );
      app.useGlobalFilters({
        catch: (error: { kind: string }, host) =>
          host.switchToHttp().getResponse().status(400).send({ kind: error.kind }),
      });
      await app.init();
    });
    afterAll(() => app.close());

    const get = async (path: string, as?: 'user' | 'admin') => {
      role = as ?? 'user';
      const answer = await app.inject({ path: `/sample/${path}`, headers: as ? { authorization: 'Bearer x' } : {} });
      return answer.statusCode === 200 ? 'let in' : (answer.json() as { kind: string }).kind;
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
  });
});
