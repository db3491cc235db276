import { aSignedInUser, anAdmin, type SignedIn, signIn } from '../support/builders.js';
import { closeSockets, connect, publishMany, refusal } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const NOBODY = '0197f0a0-7b1c-7e7e-8a00-3d2f1c0b9a88';
const API = '/api/v1/broadcasting';

/** S0 names the group and that it is protected; what is in it is section 7 of the contract. */
describe('S0 "/api/v1/broadcasting/*"', () => {
  let app: TestApp;
  let user: SignedIn;
  let admin: SignedIn;

  beforeAll(async () => {
    app = await startTestApp();
    [user, admin] = [await aSignedInUser(app), await anAdmin(app)];
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  const endpoints: ['get' | 'post' | 'put' | 'delete', string][] = [
    ['get', `${API}/messages?channel=news`],
    ['post', `${API}/messages`],
    ['get', `${API}/channels`],
    ['get', `${API}/channels/news`],
    ['put', `${API}/channels/news`],
    ['get', `${API}/channels/private-team/members`],
    ['put', `${API}/channels/private-team/members/${NOBODY}`],
    ['delete', `${API}/channels/private-team/members/${NOBODY}`],
    ['post', `${API}/auth`],
    ['get', `${API}/stream?channel=news`],
    ['post', `${API}/stream/ticket`],
    ['get', `${API}/stats`],
  ];

  describe('"All broadcasting endpoints (including WebSocket)" are protected', () => {
    it('the list names every one that there is', async () => {
      const { body } = await app.http.get('/openapi.json').expect(200);
      const documented = Object.entries<object>(body.paths)
        .filter(([path]) => path.startsWith(API))
        .flatMap(([path, item]) => Object.keys(item).map((method) => `${method} ${path}`));
      const listed = endpoints.map(
        ([method, path]) =>
          `${method} ${path
            .replace(/\?.*/, '')
            .replace(NOBODY, '{user_id}')
            .replace(/channels\/[^/]+/, 'channels/{name}')}`,
      );
      expect(documented.sort()).toEqual(listed.sort());
    });

    it.each(endpoints)('"Missing Token": %s %s is 401', async (method, path) => {
      const { body, headers } = await app.http[method](path).expect(401);
      expect(body).toMatchObject({ detail: 'Not authenticated', status: 'error', code: 401 });
      expect(headers['www-authenticate']).toBe('Bearer');
    });

    it.each(endpoints)('"Invalid Token": %s %s is 401', async (method, path) => {
      const { body } = await app.http[method](path)
        .set('Authorization', 'Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...')
        .expect(401);
      expect(body).toMatchObject({ detail: 'Could not validate credentials', status: 'error', code: 401 });
    });

    it.each(['websocket', 'polling'])('"including WebSocket": no token, no connection, over %s', async (transport) => {
      expect(await refusal(app, null, { transports: [transport] })).toMatchObject({
        detail: 'Not authenticated',
        status: 'error',
        code: 401,
      });
      const accessToken = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...';
      expect(await refusal(app, { accessToken }, { transports: [transport] })).toMatchObject({
        detail: 'Could not validate credentials',
        status: 'error',
        code: 401,
      });
    });
  });

  it('"<access_token> is the token received from the login endpoint": for every endpoint, and for the WebSocket', async () => {
    const session = await signIn(app, user);
    for (const [method, path] of endpoints.filter(([, path]) => !path.includes('/stream?'))) {
      const { status } = await app.http[method](path)
        .set(session.auth)
        .send(method === 'get' ? undefined : {});
      expect([method, path, status]).not.toEqual([method, path, 401]);
    }
    const client = await connect(app, session);
    await client.subscribe('news', { after: 0 });
    await app.http
      .post(`${API}/messages`)
      .set(admin.auth)
      .send({ channel: 'news', event: 'hello', data: { text: 'world' } })
      .expect(201);
    expect(await client.messages('news', 1)).toMatchObject([
      { event: 'hello', data: { text: 'world' }, sender_id: admin.id },
    ]);
  });

  it('the header of the document’s examples is taken by the WebSocket too: "Authorization: Bearer <access_token>"', async () => {
    await publishMany(app, 'header', 1);
    const client = await connect(app, user, {
      auth: {},
      extraHeaders: { Authorization: `Bearer ${user.accessToken}` },
    });
    expect(await client.subscribe('header', { after: 0 })).toMatchObject({ ok: true, sequence: 1 });
  });
});
