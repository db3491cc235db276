import 'reflect-metadata';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { MESSAGE_MAPPING_METADATA, MESSAGE_METADATA } from '@nestjs/websockets/constants';
import { Ajv } from 'ajv';
import addFormatsModule from 'ajv-formats';
import { io, type Socket } from 'socket.io-client';
import { BroadcastingGateway } from '../../src/broadcasting/gateway/broadcasting.gateway.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

// Published as CommonJS, typed as an ES module.
const addFormats = addFormatsModule as unknown as (ajv: Ajv) => void;

const ACKNOWLEDGEMENT = '_acknowledgement';

const withFormats = () => {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  return ajv;
};

/** An object has the fields that are documented, and no others. */
const closed = (schema: any): any =>
  schema.properties && !('additionalProperties' in schema) ? { ...schema, additionalProperties: false } : schema;

describe('the AsyncAPI document', () => {
  let app: TestApp;
  let document: any;
  beforeAll(async () => {
    app = await startTestApp();
    ({ body: document } = await app.http
      .get('/asyncapi.json')
      .expect(200)
      .expect('Content-Type', /^application\/json/));
  });
  afterAll(() => app.close());

  /** By direction, as the operations have them. */
  const eventsOf = (action: 'send' | 'receive'): string[] =>
    Object.values<any>(document.operations)
      .filter((operation) => operation.action === action)
      .map(({ messages: [{ $ref }] }) => document.components.messages[$ref.split('/').at(-1)].name);

  it('is valid by the schema of AsyncAPI 3.0', () => {
    const path = require.resolve('@asyncapi/specs/schemas/3.0.0-without-$id.json');
    const validate = withFormats().compile(JSON.parse(readFileSync(path, 'utf8')));
    expect([validate(document), validate.errors]).toEqual([true, null]);
  });

  it('refers to nothing that is not there', () => {
    const resolve = (ref: string) =>
      ref
        .slice(2)
        .split('/')
        .reduce((at, key) => at?.[key], document);
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref);
    expect(refs.length).toBeGreaterThan(30);
    expect(refs.filter((ref) => resolve(ref) === undefined)).toEqual([]);
  });

  it('has examples that satisfy their own schemas', () => {
    const ajv = withFormats().addSchema({ $id: 'document', ...document });
    for (const [name, schema] of Object.entries<any>(document.components.schemas))
      for (const [field, { examples = [] }] of Object.entries<any>(schema.properties))
        for (const example of examples) {
          const validate = ajv.getSchema(`document#/components/schemas/${name}/properties/${field}`);
          expect([name, field, validate?.(example), validate?.errors]).toEqual([name, field, true, null]);
        }
  });

  it('knows the events that the gateway takes, and no others', () => {
    const handlers = Object.values(Object.getOwnPropertyDescriptors(BroadcastingGateway.prototype))
      .map(({ value }) => value as object)
      .filter((value) => Reflect.getMetadata(MESSAGE_MAPPING_METADATA, value))
      .map((handler) => Reflect.getMetadata(MESSAGE_METADATA, handler) as string);
    expect(handlers.length).toBeGreaterThan(3);
    expect(eventsOf('receive').sort()).toEqual(handlers.sort());
    for (const name of handlers) expect(document.components.messages).toHaveProperty(name + ACKNOWLEDGEMENT);
  });

  describe('says what is on the wire', () => {
    const sockets: Socket[] = [];
    /** Documented messages that have been seen. */
    const seen = new Set<string>();
    const faults: unknown[] = [];
    let ajv: Ajv;
    let admin: SignedIn;
    let ann: SignedIn;
    let bob: SignedIn;

    beforeAll(async () => {
      const schemas = Object.entries<any>(document.components.schemas).map(([name, schema]) => [name, closed(schema)]);
      const components = { ...document.components, schemas: Object.fromEntries(schemas) };
      ajv = withFormats().addSchema({ $id: 'document', ...document, components });
      [admin, ann, bob] = await Promise.all([anAdmin(app), aSignedInUser(app), aSignedInUser(app)]);
    });
    afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));

    const check = (id: string, payload: unknown) => {
      seen.add(id);
      const validate = ajv.getSchema(`document#/components/messages/${id}/payload`);
      if (!validate) faults.push(`${id} is not documented`);
      else if (!validate(payload)) faults.push([id, payload, validate.errors]);
    };

    const connect = (token: string): Socket => {
      const socket = io(`${app.url}/broadcasting`, { auth: { token }, forceNew: true, transports: ['websocket'] });
      sockets.push(socket);
      socket.onAny((event: string, payload: unknown) => check(event.replace(':', '_'), payload));
      socket.on('connect_error', ({ message, data }: Error & { data?: unknown }) =>
        check('connect_error', { message, data }),
      );
      return socket;
    };

    const connected = async ({ accessToken }: SignedIn): Promise<Socket> => {
      const socket = connect(accessToken);
      await once(socket as never, 'connected');
      return socket;
    };

    const ask = async (socket: Socket, event: string, payload?: object): Promise<any> => {
      const args = payload === undefined ? [] : [payload];
      const answer = await socket.timeout(10_000).emitWithAck(event, ...args);
      if (answer.ok) check(event, payload ?? null);
      check(answer.ok ? event + ACKNOWLEDGEMENT : 'refused', answer);
      return answer;
    };

    const next = async (socket: Socket, event: string): Promise<any> => (await once(socket as never, event))[0];

    it('of a channel: history, what is published, its end', async () => {
      for (const data of [1, null])
        await app.http
          .post('/api/v1/broadcasting/messages')
          .set(admin.auth)
          .send({ channel: 'news', event: 'given', data })
          .expect(201);
      const socket = await connected(admin);
      const got: any[] = [];
      socket.on('message', (message) => got.push(message));
      expect(await ask(socket, 'subscribe', { channel: 'news', after: 0 })).toMatchObject({
        ok: true,
        recovered: true,
      });
      const values = [{ a: [{}] }, ['x', 2], 'text', 1.5, false, null];
      for (const data of values)
        expect(await ask(socket, 'publish', { channel: 'news', event: 'any', data })).toMatchObject({ ok: true, data });
      const options = { channel: 'news', event: 'any' };
      expect(await ask(socket, 'publish', { ...options, idempotency_key: 'once' })).toMatchObject({ ok: true });
      expect(await ask(socket, 'publish', { ...options, durable: false })).toMatchObject({ sequence: null });
      while (got.length < values.length + 4) await next(socket, 'message');
      expect(got.map(({ data }) => data)).toEqual([1, null, ...values, null, null]);
      expect(await ask(socket, 'subscribe', { channel: 'news', after: 1_000 })).toMatchObject({ first_sequence: 1 });
      expect(await ask(socket, 'ping')).toMatchObject({ ok: true });
      expect(await ask(socket, 'unsubscribe', { channel: 'news' })).toEqual({ ok: true, channel: 'news' });
    });

    it('of presence', async () => {
      const [first, second] = [await connected(ann), await connected(bob)];
      expect((await ask(first, 'subscribe', { channel: 'presence-lobby' })).members).toHaveLength(1);
      const joined = next(first, 'presence:joined');
      expect((await ask(second, 'subscribe', { channel: 'presence-lobby' })).members).toHaveLength(2);
      expect(await joined).toMatchObject({ channel: 'presence-lobby', user: { id: bob.id } });
      const left = next(first, 'presence:left');
      second.close();
      expect(await left).toMatchObject({ user: { id: bob.id } });
    });

    it('of refusals', async () => {
      const refused = connect('not a token');
      await once(refused as never, 'connect_error');
      const socket = await connected(ann);
      for (const [event, payload, code] of [
        ['subscribe', {}, 422],
        ['subscribe', { channel: 'news', unknown: 1 }, 422],
        ['subscribe', { channel: 'private-user.me' }, 422],
        ['subscribe', { channel: `private-user.${bob.id}` }, 403],
        ['publish', { channel: 'news', event: 'x' }, 403],
        ['authenticate', { token: bob.accessToken }, 401],
      ] as const)
        expect(await ask(socket, event, payload)).toMatchObject({ ok: false, error: { code } });
    });

    it('of a member who is removed', async () => {
      const path = `/api/v1/broadcasting/channels/private-team/members/${ann.id}`;
      await app.http.put(path).set(admin.auth).expect(204);
      const socket = await connected(ann);
      await ask(socket, 'subscribe', { channel: 'private-team' });
      const removed = next(socket, 'unsubscribed');
      await app.http.delete(path).set(admin.auth).expect(204);
      expect(await removed).toEqual({ channel: 'private-team', reason: 'membership_removed' });
    });

    it('of a session that is renewed and ends', async () => {
      const socket = await connected(ann);
      const { body } = await app.http
        .post('/api/v1/auth/refresh')
        .send({ refresh_token: ann.refreshToken })
        .expect(200);
      expect(await ask(socket, 'authenticate', { token: body.access_token })).toMatchObject({ ok: true });
      const ended = next(socket, 'session:ended');
      await app.http.post('/api/v1/auth/logout').set('Authorization', `Bearer ${body.access_token}`).expect(204);
      expect(await ended).toEqual({ reason: 'logged_out' });
    });

    it('and every documented message was among it', () => {
      expect(faults).toEqual([]);
      expect(eventsOf('send').length).toBeGreaterThan(5);
      expect([...seen].sort()).toEqual(Object.keys(document.components.messages).sort());
    });
  });
});
