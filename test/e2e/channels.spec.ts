import { v7 as uuidv7 } from 'uuid';
import { aSignedInUser, anAdmin, aUser, type SignedIn } from '../support/builders.js';
import { closeSockets, connect, publishMany } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const API = '/api/v1/broadcasting';
const UUID = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

describe('channels', () => {
  let app: TestApp;
  let admin: SignedIn;
  let member: SignedIn;
  let user: SignedIn;
  let names = 0;
  const channelName = (prefix = 'room') => `${prefix}-${++names}`;

  beforeAll(async () => {
    app = await startTestApp();
    [admin, member] = [await anAdmin(app), await aSignedInUser(app, { fullName: 'Jo Doe' })];
    user = await aSignedInUser(app);
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  const get = (as: SignedIn, name: string) => app.http.get(`${API}/channels/${name}`).set(as.auth);
  const put = (name: string, body: object, as = admin) =>
    app.http.put(`${API}/channels/${name}`).set(as.auth).send(body);
  const addMember = (name: string, id: string) => app.http.put(`${API}/channels/${name}/members/${id}`).set(admin.auth);
  const removeMember = (name: string, id: string) =>
    app.http.delete(`${API}/channels/${name}/members/${id}`).set(admin.auth);
  const membersOf = (name: string, query: object = {}) =>
    app.http.get(`${API}/channels/${name}/members`).set(admin.auth).query(query);
  const list = async (as: SignedIn, query: object = { size: 100 }) =>
    (await app.http.get(`${API}/channels`).set(as.auth).query(query).expect(200)).body;
  /** What a client's end changes is known when the server has heard of it. */
  const eventually = async (look: () => Promise<unknown>, expected: unknown) => {
    let found = await look();
    while (found !== expected) found = await look();
    expect(found).toBe(expected);
  };

  describe('GET /channels/{name}', () => {
    it('a name that nobody has used is an empty channel, and is not made by asking', async () => {
      const name = channelName();
      const { body } = await get(user, name).expect(200);
      expect(body).toEqual({
        name,
        kind: 'plain',
        subscribers: 0,
        sequence: 0,
        first_sequence: 1,
        epoch: UUID,
        publish_policy: 'admins',
        retention_seconds: 604_800,
        retention_count: 10_000,
      });
      expect((await list(user)).items.map((channel: any) => channel.name)).not.toContain(name);
      await publishMany(app, name, 3);
      expect((await get(user, name).expect(200)).body).toEqual({ ...body, sequence: 3 });
    });

    it.each<[name: string, kind: string]>([
      ['news', 'plain'],
      ['private', 'plain'],
      ['Private-x', 'plain'],
      ['private_user.x', 'plain'],
      ['presence', 'plain'],
      ['private-x', 'private'],
      ['private-user', 'private'],
      ['private-role', 'private'],
      ['private-users.7', 'private'],
      ['private-role.user', 'private-role'],
      ['private-role.admin', 'private-role'],
      ['private-user.ME', 'private-user'],
      ['presence-x', 'presence'],
      ['presence-user.7', 'presence'],
    ])('%s is %s', async (name, kind) => {
      const { body } = await get(admin, name.replace('ME', admin.id)).expect(200);
      expect(body.kind).toBe(kind);
      // The database tells kinds too.
      const { rows } = await app.pool.query('SELECT channel_kind($1) AS kind', [name.replace('ME', admin.id)]);
      expect(rows).toEqual([{ kind }]);
    });

    it.each([
      'a%20b',
      'private-',
      'private-user.7',
      'private-role.king',
      'presence-',
      'x'.repeat(129),
      '%C3%A4',
      '%00',
    ])('%s is no name of a channel', async (name) => {
      const { body } = await get(admin, name).expect(422);
      expect(body).toMatchObject({ error_code: 'invalid_channel', field_errors: { name: [expect.any(String)] } });
    });

    it('is for readers', async () => {
      await addMember('private-readers', member.id).expect(204);
      const cases: [name: string, readers: SignedIn[], others: SignedIn[]][] = [
        ['news', [admin, member, user], []],
        ['presence-a', [admin, member, user], []],
        ['private-readers', [admin, member], [user]],
        ['private-nothing', [admin], [member, user]],
        ['private-role.admin', [admin], [member, user]],
        ['private-role.user', [admin, member, user], []],
        [`private-user.${member.id}`, [member], [admin, user]],
        [`private-user.${admin.id}`, [admin], [member, user]],
        [`private-user.${uuidv7()}`, [], [admin, member, user]],
      ];
      for (const [name, readers, others] of cases) {
        for (const reader of readers) expect([name, (await get(reader, name)).status]).toEqual([name, 200]);
        for (const other of others) {
          const { status, body } = await get(other, name);
          expect([name, status, body.error_code]).toEqual([name, 403, 'channel_forbidden']);
        }
      }
    });

    it('counts connections, each once, as they come and go', async () => {
      const name = channelName();
      const subscribers = async () => (await get(user, name)).body.subscribers;
      const clients = await Promise.all([connect(app, user), connect(app, user), connect(app, member)]);
      for (const client of clients) for (let i = 0; i < 2; i++) await client.subscribe(name);
      expect(await subscribers()).toBe(3);
      await clients[0].unsubscribe(name);
      expect(await subscribers()).toBe(2);
      clients[1].close();
      await eventually(subscribers, 1);
      await clients[2].subscribe(`private-user.${user.id}`);
      expect(await subscribers()).toBe(1);
      clients[2].close();
      await eventually(subscribers, 0);
    });

    it('names the members of a presence channel, each user once', async () => {
      const name = channelName('presence');
      expect((await get(user, name).expect(200)).body.members).toEqual([]);
      const clients = await Promise.all([connect(app, member), connect(app, member), connect(app, user)]);
      for (const client of clients) await client.subscribe(name);
      const shown = [member, user]
        .map(({ id, username }) => ({ id, username, full_name: id === member.id ? 'Jo Doe' : null }))
        .sort((a, b) => (a.username < b.username ? -1 : 1));
      const { body } = await get(user, name).expect(200);
      expect(body).toMatchObject({ kind: 'presence', subscribers: 3 });
      expect(body.members).toEqual(shown);
    });
  });

  describe('GET /channels', () => {
    let own: TestApp;
    let people: { admin: SignedIn; member: SignedIn; user: SignedIn };
    const namesOf = async (as: SignedIn, query: object = { size: 100 }) => {
      const { body } = await own.http.get(`${API}/channels`).set(as.auth).query(query).expect(200);
      return { ...body, items: body.items.map(({ name }: { name: string }) => name) };
    };

    beforeAll(async () => {
      own = await startTestApp();
      people = { admin: await anAdmin(own), member: await aSignedInUser(own), user: await aSignedInUser(own) };
      for (const channel of [
        'b',
        'a',
        'Z',
        'presence-a',
        'private-a',
        'private-b',
        'private-role.admin',
        'private-role.user',
      ])
        await publishMany(own, channel, 1);
      for (const { id } of Object.values(people)) await publishMany(own, `private-user.${id}`, 1);
      await own.http.put(`${API}/channels/private-a/members/${people.member.id}`).set(people.admin.auth).expect(204);
      await own.http.put(`${API}/channels/configured`).set(people.admin.auth).send({}).expect(200);
    });
    afterAll(() => own.close());

    it('shows what the caller may read, by name', async () => {
      const open = ['Z', 'a', 'b', 'configured', 'presence-a'];
      expect(await namesOf(people.user)).toEqual({
        items: [...open, 'private-role.user', `private-user.${people.user.id}`],
        total: 7,
        page: 1,
        size: 100,
        pages: 1,
        skip: 0,
        limit: 100,
      });
      expect(await namesOf(people.member)).toMatchObject({
        items: [...open, 'private-a', 'private-role.user', `private-user.${people.member.id}`],
        total: 8,
      });
      expect(await namesOf(people.admin)).toMatchObject({
        items: [
          ...open,
          'private-a',
          'private-b',
          'private-role.admin',
          'private-role.user',
          `private-user.${people.admin.id}`,
        ],
        total: 10,
      });
    });

    it.each(['user', 'member', 'admin'] as const)('pages through the same channels for a %s', async (who) => {
      const all = await namesOf(people[who]);
      for (const size of [1, 2, 3]) {
        const seen: string[] = [];
        for (let page = 1; page <= Math.ceil(all.total / size); page++) {
          const { items, total, pages } = await namesOf(people[who], { page, size });
          expect([total, pages]).toEqual([all.total, Math.ceil(all.total / size)]);
          seen.push(...items);
        }
        expect(seen).toEqual(all.items);
      }
      expect(await namesOf(people[who], { skip: 1, limit: 2 })).toMatchObject({ items: all.items.slice(1, 3) });
      expect(await namesOf(people[who], { page: 99 })).toMatchObject({ items: [], total: all.total });
    });

    it('shows what somebody is subscribed to, too, once, unless it is private', async () => {
      const before = await namesOf(people.user);
      const client = await connect(own, people.admin);
      for (const channel of ['m', 'presence-m', 'private-m', 'a']) await client.subscribe(channel);
      const during = await namesOf(people.user);
      expect(during.items).toEqual([...before.items, 'm', 'presence-m'].sort());
      expect(during.total).toBe(before.total + 2);
      const { body } = await own.http.get(`${API}/channels?size=100`).set(people.user.auth).expect(200);
      expect(Object.fromEntries(body.items.map(({ name, subscribers }: any) => [name, subscribers]))).toMatchObject({
        a: 1,
        m: 1,
        b: 0,
      });
      for (const channel of ['m', 'presence-m', 'private-m', 'a']) await client.unsubscribe(channel);
      expect(await namesOf(people.user)).toEqual(before);
    });

    it.each(['size=101', 'page=0', 'page=1&skip=0', 'limit=1e9', 'search=x', 'kind=plain'])(
      'refuses %s',
      async (query) => {
        await own.http.get(`${API}/channels?${query}`).set(people.user.auth).expect(422);
      },
    );
  });

  describe('PUT /channels/{name}', () => {
    it('changes what is given, and null goes back to what the server does', async () => {
      const name = channelName();
      const steps: [body: object, expected: object][] = [
        [{}, { publish_policy: 'admins', retention_seconds: 604_800, retention_count: 10_000 }],
        [{ publish_policy: 'members' }, { publish_policy: 'members', retention_count: 10_000 }],
        [
          { retention_seconds: 60, retention_count: 5 },
          { publish_policy: 'members', retention_seconds: 60, retention_count: 5 },
        ],
        [{ retention_seconds: null }, { retention_seconds: 604_800, retention_count: 5 }],
        [
          { retention_count: null, publish_policy: 'admins' },
          { publish_policy: 'admins', retention_count: 10_000 },
        ],
      ];
      for (const [body, expected] of steps) {
        const answer = await put(name, body).expect(200);
        expect(answer.body).toMatchObject({ name, kind: 'plain', sequence: 0, ...expected });
        expect((await get(user, name)).body).toEqual(answer.body);
      }
      expect((await list(user)).items.map((channel: any) => channel.name)).toContain(name);
    });

    it.each<[body: object, fields: string[]]>([
      [{ publish_policy: 'everybody' }, ['publish_policy']],
      [{ publish_policy: null }, ['publish_policy']],
      [{ publish_policy: ['members'] }, ['publish_policy']],
      [{ retention_seconds: 0 }, ['retention_seconds']],
      [{ retention_seconds: -1 }, ['retention_seconds']],
      [{ retention_seconds: 1.5 }, ['retention_seconds']],
      [{ retention_seconds: '60' }, ['retention_seconds']],
      [{ retention_seconds: 315_360_001 }, ['retention_seconds']],
      [{ retention_count: 0 }, ['retention_count']],
      [{ retention_count: 10_000_001 }, ['retention_count']],
      [{ sequence: 7 }, ['sequence']],
      [{ epoch: uuidv7() }, ['epoch']],
      [{ kind: 'plain' }, ['kind']],
      [{ name: 'other' }, ['name']],
    ])('refuses %j, and makes no channel', async (body, fields) => {
      const name = channelName();
      const answer = await put(name, body).expect(422);
      expect(Object.keys(answer.body.field_errors)).toEqual(fields);
      expect((await app.pool.query('SELECT 1 FROM channels WHERE name = $1', [name])).rows).toEqual([]);
    });

    it('is for admins', async () => {
      for (const who of [user, member])
        expect((await put('news', { publish_policy: 'members' }, who).expect(403)).body.error_code).toBe('forbidden');
    });

    it('is 404 for the channel of a user that there is not, and 422 for what is no name', async () => {
      expect((await put(`private-user.${uuidv7()}`, {}).expect(404)).body.error_code).toBe('channel_not_found');
      await put(`private-user.${user.id}`, { retention_count: 100 }).expect(200);
      expect((await put('a%20b', {}).expect(422)).body.error_code).toBe('invalid_channel');
    });
  });

  describe('/channels/{name}/members', () => {
    it('members are added and removed, as often as one likes', async () => {
      const name = channelName('private');
      for (let i = 0; i < 2; i++) await addMember(name, member.id).expect(204);
      await addMember(name, user.id.toUpperCase()).expect(204);
      const shown = [
        { id: member.id, username: member.username, full_name: 'Jo Doe' },
        { id: user.id, username: user.username, full_name: null },
      ].sort((a, b) => (a.id < b.id ? -1 : 1));
      expect((await membersOf(name).expect(200)).body).toMatchObject({ items: shown, total: 2 });
      expect((await membersOf(name, { page: 2, size: 1 })).body).toMatchObject({
        items: [shown[1]],
        total: 2,
        pages: 2,
      });
      await get(member, name).expect(200);
      for (let i = 0; i < 2; i++) await removeMember(name, member.id).expect(204);
      await get(member, name).expect(403);
      expect((await membersOf(name)).body).toMatchObject({ total: 1 });
    });

    it('adding many at once adds each once', async () => {
      const name = channelName('private');
      const people = await Promise.all([1, 2, 3, 4].map(() => aUser(app)));
      const answers = await Promise.all([...people, ...people].map(({ id }) => addMember(name, id)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204]));
      expect((await membersOf(name)).body.total).toBe(4);
    });

    it('a channel without members has none', async () => {
      expect((await membersOf('private-empty').expect(200)).body).toMatchObject({ items: [], total: 0, pages: 0 });
    });

    it('a user that there is not is 404, malformed or not', async () => {
      expect((await addMember('private-a', uuidv7()).expect(404)).body.error_code).toBe('user_not_found');
      await addMember('private-a', 'nonsense').expect(404);
      await removeMember('private-a', 'nonsense').expect(404);
      await removeMember('private-a', uuidv7()).expect(204);
    });

    it.each(['news', 'presence-a', 'private-role.admin', 'private-user.ME'])(
      '%s has no members: 422',
      async (template) => {
        const name = template.replace('ME', user.id);
        for (const answer of [
          await addMember(name, user.id).expect(422),
          await removeMember(name, user.id).expect(422),
          await membersOf(name).expect(422),
        ])
          expect(answer.body).toMatchObject({
            error_code: 'channel_without_members',
            field_errors: { name: [expect.any(String)] },
          });
      },
    );

    it('are the admins’ to see and to change', async () => {
      await addMember('private-a', member.id).expect(204);
      const path = `${API}/channels/private-a/members`;
      for (const { auth } of [member, user]) {
        await app.http.get(path).set(auth).expect(403);
        await app.http.put(`${path}/${user.id}`).set(auth).expect(403);
        await app.http.delete(`${path}/${member.id}`).set(auth).expect(403);
      }
      expect((await membersOf('private-a')).body.total).toBe(1);
    });
  });

  it('a user who is deleted takes the own channel and memberships along', async () => {
    const gone = await aSignedInUser(app);
    const [own, team] = [`private-user.${gone.id}`, channelName('private')];
    await publishMany(app, own, 3);
    await addMember(team, gone.id).expect(204);
    await addMember(team, member.id).expect(204);
    await app.http.delete(`/api/v1/users/${gone.id}`).set(admin.auth).expect(200);
    const { rows } = await app.pool.query('SELECT name FROM channels WHERE name = ANY ($1)', [[own, team]]);
    expect(rows).toEqual([{ name: team }]);
    const { rows: orphans } = await app.pool.query(
      'SELECT 1 FROM messages m LEFT JOIN channels c ON c.id = m.channel_id WHERE c.id IS NULL',
    );
    expect(orphans).toEqual([]);
    expect((await membersOf(team)).body).toMatchObject({ items: [{ id: member.id }], total: 1 });
    await app.http.post(`${API}/messages`).set(admin.auth).send({ channel: own, event: 'e' }).expect(404);
  });

  describe('POST /auth', () => {
    const authorise = (as: SignedIn, body: object) => app.http.post(`${API}/auth`).set(as.auth).send(body);

    it('says whether the caller may join', async () => {
      await addMember('private-auth', member.id).expect(204);
      const cases: [channel: string, allowed: SignedIn[], refused: SignedIn[]][] = [
        ['news', [admin, member, user], []],
        ['presence-x', [admin, member, user], []],
        ['private-auth', [admin, member], [user]],
        ['private-role.admin', [admin], [member, user]],
        [`private-user.${user.id}`, [user], [admin, member]],
      ];
      for (const [channel_name, allowed, refused] of cases) {
        for (const who of allowed)
          expect((await authorise(who, { channel_name, socket_id: '1234.5678' }).expect(200)).body).toEqual({
            channel: channel_name,
            allowed: true,
          });
        for (const who of refused)
          expect((await authorise(who, { channel_name }).expect(403)).body.error_code).toBe('channel_forbidden');
      }
    });

    it.each<[body: object, fields: string[]]>([
      [{}, ['channel_name']],
      [{ channel: 'news' }, ['channel', 'channel_name']],
      [{ channel_name: 'a b' }, ['channel_name']],
      [{ channel_name: 'private-user.7' }, ['channel_name']],
      [{ channel_name: 'news', socket_id: 7 }, ['socket_id']],
      [{ channel_name: 'news', socket_id: 'x'.repeat(129) }, ['socket_id']],
    ])('refuses %j', async (body, fields) => {
      const answer = await authorise(user, body).expect(422);
      expect(Object.keys(answer.body.field_errors).sort()).toEqual(fields);
    });
  });

  describe('GET /stats', () => {
    it('counts connections by node and by channel, over all nodes', async () => {
      const first = await startTestApp();
      const second = await startTestApp({}, { beside: first });
      const [boss, somebody] = [await anAdmin(first), await aSignedInUser(first)];
      const stats = async () => (await first.http.get(`${API}/stats`).set(boss.auth).expect(200)).body;
      expect(await stats()).toMatchObject({ connections: 0, channels: [], occupied_channels: 0 });
      const clients = [await connect(first, somebody), await connect(first, somebody), await connect(second, somebody)];
      for (const client of clients) await client.subscribe('full');
      await clients[0].subscribe('half');
      // The other node tells of itself by its beat.
      await eventually(async () => (await stats()).connections, 3);
      await eventually(async () => (await stats()).channels[0].subscribers, 3);
      const body = await stats();
      expect(body).toEqual({
        connections: 3,
        nodes: expect.arrayContaining([
          { id: UUID, name: expect.stringMatching(/^.+:\d+$/), connections: 2, started_at: TIME },
          { id: UUID, name: expect.stringMatching(/^.+:\d+$/), connections: 1, started_at: TIME },
        ]),
        channels: [
          { channel: 'full', subscribers: 3 },
          { channel: 'half', subscribers: 1 },
        ],
        occupied_channels: 2,
      });
      expect(body.nodes).toHaveLength(2);
      await first.http.get(`${API}/stats`).set(somebody.auth).expect(403);
      await second.close();
      await eventually(async () => (await stats()).connections, 2);
      closeSockets();
      await first.close();
    });
  });
});
