import { v7 as uuidv7 } from 'uuid';
import { Publisher } from '../../src/broadcasting/log/publisher.js';
import { aSignedInUser, anAdmin, type SignedIn } from '../support/builders.js';
import { closeSockets, connect, publishMany, range } from '../support/sockets.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const API = '/api/v1/broadcasting';
const UUID = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const KIB = 1024;

describe('messages', () => {
  let app: TestApp;
  let admin: SignedIn;
  let member: SignedIn;
  let user: SignedIn;
  let names = 0;
  const channelName = (prefix = 'room') => `${prefix}-${++names}`;

  beforeAll(async () => {
    app = await startTestApp();
    [admin, member, user] = [await anAdmin(app), await aSignedInUser(app), await aSignedInUser(app)];
  });
  afterEach(() => closeSockets());
  afterAll(() => app.close());

  const publish = (as: SignedIn, body: object) => app.http.post(`${API}/messages`).set(as.auth).send(body);
  const history = (as: SignedIn, query: object) => app.http.get(`${API}/messages`).set(as.auth).query(query);
  const open = (channel: string) =>
    app.http.put(`${API}/channels/${channel}`).set(admin.auth).send({ publish_policy: 'members' }).expect(200);

  describe('POST /messages', () => {
    it('answers the message with its place in the channel', async () => {
      const channel = channelName();
      const data = { title: 'Hello', list: [1, 2] };
      const { body } = await publish(admin, { channel, event: 'article.published', data }).expect(201);
      expect(body).toEqual({
        id: UUID,
        channel,
        sequence: 1,
        epoch: UUID,
        event: 'article.published',
        data,
        sender_id: admin.id,
        created_at: TIME,
      });
      const { body: second } = await publish(admin, { channel, event: 'e' }).expect(201);
      expect(second).toMatchObject({ sequence: 2, epoch: body.epoch, data: null });
      expect((await history(admin, { channel }).expect(200)).body).toEqual({
        items: [body, second],
        channel,
        epoch: body.epoch,
        first_sequence: 1,
        last_sequence: 2,
      });
    });

    describe('is for admins, and for readers where the policy of the channel is `members`', () => {
      const people = { admin: () => admin, member: () => member, stranger: () => user };
      const REFUSED = 'publish_forbidden';
      it.each<[channel: string, policy: 'admins' | 'members', expected: Record<keyof typeof people, string>]>([
        ['plain', 'admins', { admin: '', member: REFUSED, stranger: REFUSED }],
        ['plain', 'members', { admin: '', member: '', stranger: '' }],
        ['presence-a', 'admins', { admin: '', member: REFUSED, stranger: REFUSED }],
        ['presence-a', 'members', { admin: '', member: '', stranger: '' }],
        ['private-a', 'admins', { admin: '', member: REFUSED, stranger: REFUSED }],
        ['private-a', 'members', { admin: '', member: '', stranger: REFUSED }],
        ['private-role.admin', 'admins', { admin: '', member: REFUSED, stranger: REFUSED }],
        ['private-role.admin', 'members', { admin: '', member: REFUSED, stranger: REFUSED }],
        ['private-role.user', 'admins', { admin: '', member: REFUSED, stranger: REFUSED }],
        ['private-role.user', 'members', { admin: '', member: '', stranger: '' }],
        ['private-user.MEMBER', 'admins', { admin: '', member: REFUSED, stranger: REFUSED }],
        ['private-user.MEMBER', 'members', { admin: '', member: '', stranger: REFUSED }],
      ])('%s with %s', async (name, publish_policy, expected) => {
        const channel = name.replace('MEMBER', member.id);
        await app.http.put(`${API}/channels/${channel}`).set(admin.auth).send({ publish_policy }).expect(200);
        if (channel === 'private-a')
          await app.http.put(`${API}/channels/${channel}/members/${member.id}`).set(admin.auth).expect(204);
        const before = (await app.http.get(`${API}/messages?channel=${channel}&limit=1`).set(admin.auth)).body
          .last_sequence;
        for (const durable of [true, false]) {
          const outcomes: Record<string, string> = {};
          for (const [who, person] of Object.entries(people)) {
            const { status, body } = await publish(person(), { channel, event: 'e', durable });
            outcomes[who] = status === 201 ? '' : body.error_code;
          }
          expect(outcomes).toEqual(expected);
        }
        if (before !== undefined) {
          const allowed = Object.values(expected).filter((outcome) => outcome === '').length;
          const { body } = await history(admin, { channel, limit: 1 }).expect(200);
          expect(body.last_sequence).toBe(before + allowed);
        }
      });

      it('a channel that nobody has used is the admins’', async () => {
        const { body } = await publish(user, { channel: channelName(), event: 'e' }).expect(403);
        expect(body).toMatchObject({ detail: 'You may not publish to this channel', error_code: 'publish_forbidden' });
      });
    });

    it.each<[what: string, body: object, fields: string[]]>([
      ['nothing', {}, ['channel', 'event']],
      ['no event', { channel: 'c' }, ['event']],
      ['an empty name', { channel: '', event: 'e' }, ['channel']],
      ['a name with a blank', { channel: 'a b', event: 'e' }, ['channel']],
      ['a name with a slash', { channel: 'a/b', event: 'e' }, ['channel']],
      ['a name with a line break', { channel: 'a\n', event: 'e' }, ['channel']],
      ['a name of other letters', { channel: 'каnal', event: 'e' }, ['channel']],
      ['a name of 129 characters', { channel: 'c'.repeat(129), event: 'e' }, ['channel']],
      ['a list for a name', { channel: ['c'], event: 'e' }, ['channel']],
      ['an empty event', { channel: 'c', event: '' }, ['event']],
      ['an event of 129 characters', { channel: 'c', event: 'e'.repeat(129) }, ['event']],
      ['an event with control characters', { channel: 'c', event: 'a\u0007' }, ['event']],
      ['an event with NUL', { channel: 'c', event: 'a\u0000' }, ['event']],
      ['an event that is no text', { channel: 'c', event: '\udc00' }, ['event']],
      ['an empty key', { channel: 'c', event: 'e', idempotency_key: '' }, ['idempotency_key']],
      ['no key as null', { channel: 'c', event: 'e', idempotency_key: null }, ['idempotency_key']],
      ['a key of 129 characters', { channel: 'c', event: 'e', idempotency_key: 'k'.repeat(129) }, ['idempotency_key']],
      ['a text for a flag', { channel: 'c', event: 'e', durable: 'false' }, ['durable']],
      ['a sequence', { channel: 'c', event: 'e', sequence: 7 }, ['sequence']],
      ['another sender', { channel: 'c', event: 'e', sender_id: uuidv7() }, ['sender_id']],
      ['an id', { channel: 'c', event: 'e', id: uuidv7() }, ['id']],
      ['several faults', { channel: 'a b', event: 1, x: 1 }, ['channel', 'event', 'x']],
      ['a user’s channel without an id', { channel: 'private-user.', event: 'e' }, ['channel']],
      ['a user’s channel with another id', { channel: 'private-user.7', event: 'e' }, ['channel']],
      ['a user’s channel in capitals', { channel: `private-user.${uuidv7().toUpperCase()}`, event: 'e' }, ['channel']],
      ['a role that there is not', { channel: 'private-role.king', event: 'e' }, ['channel']],
      ['a private channel without a name', { channel: 'private-', event: 'e' }, ['channel']],
      ['a presence channel without a name', { channel: 'presence-', event: 'e' }, ['channel']],
      [
        'a key for what is not kept',
        { channel: 'c', event: 'e', durable: false, idempotency_key: 'k' },
        ['idempotency_key'],
      ],
    ])('refuses %s with 422', async (_what, body, fields) => {
      const answer = await publish(admin, body).expect(422);
      expect(Object.keys(answer.body.field_errors).sort()).toEqual(fields);
    });

    it('takes names of every allowed character and of 1 to 128', async () => {
      for (const channel of ['c', 'A-Za.z0_9:-', '7', '-', '__proto__', 'constructor', 'c'.repeat(128)])
        expect((await publish(admin, { channel, event: 'ä'.repeat(128) }).expect(201)).body.channel).toBe(channel);
    });

    it('answers 404 for the channel of a user that there is not, and makes none', async () => {
      const channel = `private-user.${uuidv7()}`;
      const { body } = await publish(admin, { channel, event: 'e' }).expect(404);
      expect(body.error_code).toBe('channel_not_found');
      expect((await app.pool.query('SELECT 1 FROM channels WHERE name = $1', [channel])).rows).toEqual([]);
    });

    it('one that is refused does not take others with it', async () => {
      const [channel, missing] = [channelName(), `private-user.${uuidv7()}`];
      const answers = await Promise.all(
        range(1, 20).map((n) => publish(admin, { channel: n % 5 === 0 ? missing : channel, event: 'e', data: n })),
      );
      expect(answers.filter(({ status }) => status === 404)).toHaveLength(4);
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(16);
      expect((await history(admin, { channel })).body.items).toHaveLength(16);
    });

    describe('data', () => {
      const raw = (channel: string, data: string) =>
        fetch(`${app.url}${API}/messages`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', ...admin.auth },
          body: `{"channel":"${channel}","event":"e","data":${data}}`,
        });
      const dataIn = (text: string) => /"data":(.*),"sender_id"/s.exec(text)?.[1];

      it.each([
        'null',
        'true',
        'false',
        '0',
        '-1.5',
        '1e+21',
        '9007199254740991',
        '""',
        '"text"',
        '"Grüße, 世界 🐎"',
        '"\\u0000"',
        '"a\\u0000b\\u001f"',
        '"\\ud800"',
        '"\\udc00 and \\ud83d"',
        '"</script>\u2028"',
        '[]',
        '{}',
        '[1,[2,[3,[null]]]]',
        '{"a":{"b":[{"c":null}]}}',
        '{"\\u0000":1,"\\ud800":2,"":3}',
        '{"constructor":{"prototype":{"isAdmin":true}}}',
        '{"__proto__":{"isAdmin":true}}',
        '{"a":{"__proto__":{"isAdmin":true},"prototype":1,"hasOwnProperty":2,"toJSON":3,"then":4}}',
        '{"type":"Buffer","data":[1,2]}',
        '{"_placeholder":true,"num":0}',
        `${'['.repeat(60)}${']'.repeat(60)}`,
      ])('%s comes back as it was sent, by every way', async (data) => {
        const channel = channelName();
        const client = await connect(app, admin);
        await client.subscribe(channel);
        const response = await raw(channel, data);
        expect(response.status).toBe(201);
        expect(dataIn(await response.text())).toBe(data);
        const page = await fetch(`${app.url}${API}/messages?channel=${channel}`, { headers: admin.auth });
        expect(dataIn(await page.text())).toBe(data);
        const [message] = await client.messages(channel, 1);
        expect(JSON.stringify(message.data)).toBe(data);
        expect(({} as Record<string, unknown>).isAdmin).toBeUndefined();
      });

      it.each([
        ['of one byte each', 'x', 64 * KIB - 2],
        ['of two bytes each', 'ö', (64 * KIB - 2) / 2],
        ['that take six when escaped', '\u0001', Math.floor((64 * KIB - 2) / 6)],
      ])('is 64 KiB at most, to the byte: characters %s', async (_what, character, count) => {
        const channel = channelName();
        const fits = character.repeat(count);
        await publish(admin, { channel, event: 'e', data: fits }).expect(201);
        for (const durable of [true, false]) {
          const { body } = await publish(admin, { channel, event: 'e', data: `${fits}${character}`, durable }).expect(
            413,
          );
          expect(body).toMatchObject({
            error_code: 'message_too_large',
            field_errors: { data: ['data is larger than 65536 bytes'] },
          });
        }
        expect((await history(admin, { channel })).body).toMatchObject({ items: [{ data: fits }], last_sequence: 1 });
      });

      it('blanks between values do not count', async () => {
        const response = await raw(channelName(), `[${' '.repeat(100 * KIB)}1]`);
        expect([response.status, dataIn(await response.text())]).toEqual([201, '[1]']);
      });
    });

    describe('idempotency_key', () => {
      const body = (channel: string, more: object = {}) => ({ channel, event: 'e', data: { a: 1, b: [2] }, ...more });

      it('answers the first result again, and publishes once', async () => {
        const channel = channelName();
        const first = await publish(admin, body(channel, { idempotency_key: 'k' })).expect(201);
        await publish(admin, body(channel)).expect(201);
        for (const data of [
          { a: 1, b: [2] },
          { b: [2], a: 1 },
        ]) {
          const again = await publish(admin, body(channel, { idempotency_key: 'k', data })).expect(200);
          expect(again.body).toEqual(first.body);
        }
        expect((await history(admin, { channel })).body.last_sequence).toBe(2);
      });

      it.each<[what: string, change: object]>([
        ['other data', { data: { a: 2, b: [2] } }],
        ['data of another kind', { data: { a: '1', b: [2] } }],
        ['more data', { data: { a: 1, b: [2], c: null } }],
        ['no data', { data: undefined }],
        ['another event', { event: 'f' }],
      ])('with %s is 409, and nothing is published', async (_what, change) => {
        const channel = channelName();
        await publish(admin, body(channel, { idempotency_key: 'k' })).expect(201);
        const answer = await publish(admin, body(channel, { idempotency_key: 'k', ...change })).expect(409);
        expect(answer.body).toMatchObject({
          error_code: 'idempotency_conflict',
          field_errors: { idempotency_key: [expect.any(String)] },
        });
        expect((await history(admin, { channel })).body.last_sequence).toBe(1);
      });

      it('is the sender’s own, in the channel', async () => {
        const [channel, other] = [channelName(), channelName()];
        await open(channel);
        const answers = [
          await publish(admin, body(channel, { idempotency_key: 'k' })).expect(201),
          await publish(user, body(channel, { idempotency_key: 'k' })).expect(201),
          await publish(admin, body(other, { idempotency_key: 'k' })).expect(201),
          await publish(admin, body(channel, { idempotency_key: 'K' })).expect(201),
        ];
        expect(new Set(answers.map(({ body: { id } }) => id)).size).toBe(4);
      });

      it('counts for requests that come at once too', async () => {
        const channel = channelName();
        const answers = await Promise.all(
          range(1, 20).map(() => publish(admin, body(channel, { idempotency_key: 'k' }))),
        );
        expect(answers.map(({ status }) => status).sort()).toEqual([...Array(19).fill(200), 201]);
        for (const answer of answers) expect(answer.body).toEqual(answers[0].body);
        const [one, two] = await Promise.all([
          publish(admin, body(channel, { idempotency_key: 'l', data: 1 })),
          publish(admin, body(channel, { idempotency_key: 'l', data: 2 })),
        ]);
        expect([one.status, two.status].sort()).toEqual([201, 409]);
        expect((await history(admin, { channel })).body.last_sequence).toBe(2);
      });

      it('is told to nobody', async () => {
        const channel = channelName();
        const { text } = await publish(admin, body(channel, { idempotency_key: 'a-key-to-hide' })).expect(201);
        expect(text).not.toContain('a-key-to-hide');
        expect((await history(admin, { channel })).text).not.toContain('a-key-to-hide');
      });
    });

    it('what is not durable has no sequence, and is not in the history', async () => {
      const channel = channelName();
      const { body } = await publish(admin, { channel, event: 'typing', data: 1, durable: false }).expect(201);
      expect(body).toEqual({
        id: UUID,
        channel,
        sequence: null,
        epoch: UUID,
        event: 'typing',
        data: 1,
        sender_id: admin.id,
        created_at: TIME,
      });
      expect((await history(admin, { channel })).body).toMatchObject({
        items: [],
        epoch: body.epoch,
        last_sequence: 0,
      });
    });

    it('50 publishers at once: every sequence once, without a gap, and each publisher’s in its order', async () => {
      const channel = channelName();
      await open(channel);
      const people = [admin, ...(await Promise.all(range(2, 50).map(() => aSignedInUser(app))))];
      const reader = await connect(app, user);
      await reader.subscribe(channel);
      const answered = await Promise.all(
        people.map(async (person) => {
          const sequences: number[] = [];
          for (const n of range(1, 20)) {
            const { body } = await publish(person, { channel, event: 'e', data: n }).expect(201);
            sequences.push(body.sequence);
          }
          return sequences;
        }),
      );
      expect(answered.flat().sort((a, b) => a - b)).toEqual(range(1, 1_000));
      for (const sequences of answered) expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
      const items: any[] = [];
      for (const after of [0, 500]) items.push(...(await history(user, { channel, after, limit: 500 })).body.items);
      expect(items.map(({ sequence }) => sequence)).toEqual(range(1, 1_000));
      for (const { id } of people)
        expect(items.filter(({ sender_id }) => sender_id === id).map(({ data }) => data)).toEqual(range(1, 20));
      await reader.messages(channel, 1_000);
      expect(reader.log(channel)).toEqual(items);
    });

    it('a message that is published right after the answer to another is never left waiting', async () => {
      const channel = channelName();
      const publisher = app.app.get(Publisher);
      const message = () => ({ id: uuidv7(), channel, event: 'e', data: '1', senderId: null, idempotencyKey: null });
      for (const steps of range(0, 10)) {
        await publisher.publish(message());
        // The publisher stops when nothing waits: so many steps later it may be just about to.
        for (let i = 0; i < steps; i++) await Promise.resolve();
        await publisher.publish(message());
      }
      expect((await history(admin, { channel, limit: 1 })).body.last_sequence).toBe(22);
    });
  });

  describe('GET /messages', () => {
    let channel: string;
    beforeAll(async () => {
      channel = channelName();
      await publishMany(app, channel, 600);
    });
    const sequencesOf = ({ body }: { body: any }) => body.items.map(({ sequence }: { sequence: number }) => sequence);

    it.each<[query: object, expected: number[]]>([
      [{}, range(1, 50)],
      [{ after: 0 }, range(1, 50)],
      [{ after: 10, limit: 1 }, [11]],
      [{ after: 599 }, [600]],
      [{ after: 600 }, []],
      [{ after: 601 }, []],
      [{ after: '999999999999999' }, []],
      [{ limit: 500 }, range(1, 500)],
      [{ after: 550, limit: 500 }, range(551, 600)],
    ])('%j answers what follows', async (query, expected) => {
      const answer = await history(user, { channel, ...query }).expect(200);
      expect(sequencesOf(answer)).toEqual(expected);
      expect(answer.body).toMatchObject({ channel, epoch: UUID, first_sequence: 1, last_sequence: 600 });
    });

    it.each<[query: object, fields: string[]]>([
      [{ limit: 0 }, ['limit']],
      [{ limit: 501 }, ['limit']],
      [{ limit: '1e2' }, ['limit']],
      [{ after: -1 }, ['after']],
      [{ after: 'x' }, ['after']],
      [{ after: 0.5 }, ['after']],
      [{ after: '' }, ['after']],
      [{ before: 1 }, ['before']],
      [{ channel: 'a b' }, ['channel']],
      [{ channel: ['a', 'b'] }, ['channel']],
      [{ channel: undefined }, ['channel']],
      [{ channel: 'private-user.7' }, ['channel']],
    ])('refuses %j', async (query, fields) => {
      const { body } = await history(user, { channel, ...query }).expect(422);
      expect(Object.keys(body.field_errors)).toEqual(fields);
    });

    it('a channel that nobody has used is empty', async () => {
      const name = channelName();
      const { body } = await history(user, { channel: name }).expect(200);
      expect(body).toEqual({ items: [], channel: name, epoch: UUID, first_sequence: 1, last_sequence: 0 });
    });

    it('is for readers of the channel', async () => {
      for (const name of [`private-user.${member.id}`, 'private-a', 'private-none', 'private-role.admin'])
        expect((await history(user, { channel: name }).expect(403)).body.error_code).toBe('channel_forbidden');
      await history(member, { channel: `private-user.${member.id}` }).expect(200);
      await history(admin, { channel: `private-user.${member.id}` }).expect(403);
      for (const name of ['private-none', 'private-role.admin', 'private-role.user'])
        await history(admin, { channel: name }).expect(200);
      await history(user, { channel: 'private-role.user' }).expect(200);
    });
  });
});
