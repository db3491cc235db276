import net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startTestApp, type TestApp } from '../support/test-app.js';
import { aSignedInUser, anAdmin, aUser, PASSWORD } from '../support/builders.js';

const out: string[] = [];
const say = (...a: unknown[]) =>
  out.push(
    a
      .map((x) => (typeof x === 'string' ? x : JSON.stringify(x)))
      .join(' ')
      .slice(0, 700),
  );
function raw(port: number, text: string | Buffer, ms = 1500): Promise<string> {
  return new Promise((resolve) => {
    const s = net.connect(port, '127.0.0.1');
    let got = '';
    s.on('data', (d) => (got += d.toString('latin1')));
    s.on('close', () => resolve(got + '<closed>'));
    s.on('error', (e) => (got += `<${e.message}>`));
    s.write(text);
    setTimeout(() => {
      resolve(got);
      s.destroy();
    }, ms);
  });
}
describe('probe', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(async () => {
    process.stdout.write(out.join('\n') + '\n');
    await app.close();
  });

  it('paths', async () => {
    const u = await aSignedInUser(app);
    const auth = `Authorization: Bearer ${u.accessToken}\r\n`;
    for (const line of [
      'GET /api/v1//users/me',
      'GET /API/V1/users/me',
      'GET /api/v1/users%2fme',
      'GET /api/v1/users/%6de',
      'GET /api/v1/users/%256de',
      'GET /api/v1/users/../users/me',
      'GET /api/v1/users/me/',
      'GET /api/v1/users/me;x=1',
      'GET /api/v1/users/me#frag',
      'GET http://evil.example/api/v1/users/me',
      'GET http://evil.example/users/me',
      'GET //users/me',
      'GET /%75sers/me',
      'GET /users/me?x=%ff',
      'GET /api/v1/users/%zz',
      `GET /api/v1/users/${'a'.repeat(3000)}`,
      'OPTIONS /api/v1/users/me',
      'OPTIONS *',
      'TRACE /api/v1/users/me',
      'TRACK /',
      'HEAD /api/v1/users/me',
      'PROPFIND /api/v1/users/me',
      'QUERY /api/v1/users',
      'CONNECT a:1',
      'GET /api/v1/users/me\\',
      'GET /docs/assets/../../package.json',
      'GET /docs/assets/%2e%2e/%2e%2e/package.json',
      'GET /docs/assets/LICENSE',
      'DELETE /openapi.json',
      'POST /docs/assets/swagger-ui.css',
    ])
      for (const a of ['', auth]) {
        const r = await raw(app.port, `${line} HTTP/1.1\r\nHost: x\r\n${a}Connection: close\r\n\r\n`);
        say(
          a ? 'AUTH' : 'anon',
          line.slice(0, 60),
          '=>',
          r.split('\r\n')[0],
          (/\r\n(allow:[^\r]*)/i.exec(r) ?? ['', ''])[1],
          r.split('\r\n\r\n')[1]?.slice(0, 110) ?? '',
        );
      }
  }, 120000);

  it('http', async () => {
    const b = '{"email":"a@b.co","password":"x"}';
    const cases: [string, string][] = [
      [
        'CLTE',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n`,
      ],
      [
        'CLCL',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n{}   `,
      ],
      [
        'CLCLsame',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}`,
      ],
      [
        'CL list',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2, 2\r\n\r\n{}`,
      ],
      [
        'CL+',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: +2\r\n\r\n{}`,
      ],
      [
        'CL-',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -2\r\n\r\n{}`,
      ],
      [
        'TE id',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
      ],
      [
        'TE x',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
      ],
      [
        'TE sp',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
      ],
      [
        'chunk bad',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
      ],
      [
        'chunk long',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n0\r\n\r\n`,
      ],
      [
        'chunk LF',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n`,
      ],
      ['obs fold', `GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n`],
      ['no host', `GET /health HTTP/1.1\r\n\r\n`],
      ['two hosts', `GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n`],
      ['expect', `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nExpect: magic\r\nContent-Length: 2\r\n\r\n{}`],
      ['nul hdr', `GET /health HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n`],
      ['bare CR', `GET /health HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: c\r\n\r\n`],
      ['LF only', `GET /health HTTP/1.1\nHost: x\n\n`],
      ['huge hdr', `GET /health HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20000)}\r\n\r\n`],
      [
        'many hdr',
        `GET /health HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 2500 }, (_, i) => `a${i}: 1`).join('\r\n')}\r\n\r\n`,
      ],
      ['http2', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`],
      ['ver', `GET /health HTTP/9.9\r\nHost: x\r\n\r\n`],
      ['upgrade', `GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`],
      [
        'h2c',
        `GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n`,
      ],
      [
        'ce',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`,
      ],
      [
        'ct2',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json, text/plain\r\nContent-Length: ${b.length}\r\nConnection: close\r\n\r\n${b}`,
      ],
      [
        'ctdup',
        `POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Type: application/json\r\nContent-Length: ${b.length}\r\nConnection: close\r\n\r\n${b}`,
      ],
      [
        'get body',
        `GET /api/v1/users/me HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${b.length}\r\nConnection: close\r\n\r\n${b}`,
      ],
    ];
    for (const [name, text] of cases) {
      const r = await raw(app.port, text, 700);
      say(
        name,
        '=>',
        (r.match(/HTTP\/1\.1 \d+[^\r]*/g) ?? []).join(' + '),
        r.split('\r\n\r\n')[1]?.slice(0, 160) ?? r.slice(0, 50),
        r.endsWith('<closed>') ? 'closed' : 'OPEN',
      );
    }
  }, 120000);

  it('amplify', async () => {
    const key = 'k'.repeat(8000);
    const body = `{"${key}":[${Array.from({ length: 880 }, () => '"\\u0000"').join(',')}]}`;
    const h = monitorEventLoopDelay({ resolution: 5 });
    h.enable();
    const t = Date.now();
    const r = await fetch(`${app.url}/api/v1/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const size = (await r.arrayBuffer()).byteLength;
    say('amplify register', body.length, '->', r.status, size, Date.now() - t, 'ms', h.max / 1e6);
    const u = await aSignedInUser(app);
    for (const [name, b2] of [
      ['nested arrays', `{"bio":[${Array.from({ length: 340000 }, () => '[]').join(',')}]}`],
      ['nul array', `{"bio":[${Array.from({ length: 20000 }, () => '"\\u0000"').join(',')}]}`],
      ['objs', `{"bio":[${Array.from({ length: 250000 }, () => '{}').join(',')}]}`],
      ['9000 unknown', `{${Array.from({ length: 9000 }, (_, i) => `"k${i}":1`).join(',')}}`],
      ['9000 nul names', `{${Array.from({ length: 9000 }, (_, i) => `"\\u0000${i}":1`).join(',')}}`],
      ['ints', `{"bio":[${Array.from({ length: 500000 }, () => '1').join(',')}]}`],
      ['50KB key x 400', `{"${'k'.repeat(50000)}":[${Array.from({ length: 400 }, () => '"\\u0000"').join(',')}]}`],
    ] as const) {
      h.reset();
      const t2 = Date.now();
      const r2 = await fetch(`${app.url}/api/v1/users/me`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json', ...u.auth },
        body: b2,
      });
      const t3 = (await r2.arrayBuffer()).byteLength;
      say(name, b2.length, '->', r2.status, t3, Date.now() - t2, 'ms; loop max', h.max / 1e6);
    }
    for (const email of [
      'a'.repeat(8000) + '@b.co',
      '"' + '\\'.repeat(7000),
      'a@' + 'a.'.repeat(7000),
      'a@' + 'a-'.repeat(7000),
      '<'.repeat(15000),
      'x <'.repeat(4000),
    ]) {
      h.reset();
      const r3 = await app.http.post('/api/v1/auth/register').send({ email, password: 'Aa1bcdefghij' });
      say('email redos', email.slice(0, 10), r3.status, h.max / 1e6);
    }
  }, 120000);

  it('register tricks', async () => {
    const reg = async (b: object) => {
      const r = await app.http.post('/api/v1/auth/register').send(b);
      return [r.status, r.body.error_code ?? r.body.username, r.body.email, r.body.field_errors];
    };
    say(
      await reg({ email: 'JÖRG@example.com', password: 'Correct-Horse-1' }),
      await reg({ email: 'jörg@example.com', password: 'Correct-Horse-1' }),
    );
    say('derived', await reg({ email: 'john.doe1@example.com', password: 'John_doe1' }));
    say('fullwidth', await reg({ email: 'x1@exａmple.com', password: 'Correct-Horse-1' }));
    say('rtl', await reg({ email: 'a\u202eb@example.com', password: 'Correct-Horse-1' }));
    say(
      'zwsp',
      await reg({ email: 'victim\u200b@example.com', password: 'Correct-Horse-1' }),
      await reg({ email: 'victim@example.com', password: 'Correct-Horse-1' }),
    );
    say(
      'space',
      await reg({ email: ' sp@example.com', password: 'Correct-Horse-1' }),
      await reg({ email: 'sp@example.com\n', password: 'Correct-Horse-1' }),
    );
    say('username nl', await reg({ email: 'nl@example.com', username: 'abc\n', password: 'Correct-Horse-1' }));
    say(
      'sup',
      await reg({ email: 's@example.com', password: 'Correct-Horse-1', is_superuser: true }),
      await reg({ email: 's@example.com', password: 'Correct-Horse-1', is_superuser: 'true' }),
      await reg({ email: 's@example.com', password: 'Correct-Horse-1', is_superuser: null }),
    );
    say('null pw', await reg({ email: null, password: null }), await reg({}));
    say(
      '64chars+',
      await reg({ email: 'İ@example.com', password: 'Correct-Horse-1' }),
      await reg({ email: 'i̇@example.com', password: 'Correct-Horse-1' }),
    );
    say(
      'name ctl',
      await reg({ email: 'ctl@example.com', full_name: 'a\r\nb\u0007\u202e', password: 'Correct-Horse-1' }),
    );
    say(
      'bigpw ws',
      await reg({ email: 'ws@example.com', password: ' '.repeat(16) }),
      await reg({ email: 'ws2@example.com', password: 'a'.repeat(16) }),
      await reg({ email: 'ws3@example.com', password: '1234567890123456' }),
    );
    for (const b of [
      '[]',
      '"x"',
      'null',
      '1',
      '',
      '{"email":"a@b.co","email":"c@d.co"}',
      '{"__proto__":{"role":"admin"},"email":"pp@example.com","password":"Correct-Horse-1"}',
      '\ufeff{}',
    ]) {
      const r = await fetch(`${app.url}/api/v1/auth/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: b,
      });
      say('body', b, r.status, (await r.text()).slice(0, 150));
    }
    for (const b of [
      'username=a&password=b&password=c',
      'username=a&password=b&__proto__[x]=1&__proto__=1',
      'username=%ff&password=b',
      'grant_type=password&scope=&client_id=x&username=a&password=b&role=admin',
      'username=%00&password=b',
      `${'scope=&'.repeat(1200)}username=a&password=b&role=x`,
    ]) {
      const r = await fetch(`${app.url}/auth/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: b,
      });
      say('form', b.slice(0, 60), r.status, (await r.text()).slice(0, 150));
    }
  }, 60000);

  it('auth header oddities', async () => {
    const u = await aSignedInUser(app);
    for (const a of [
      `bearer ${u.accessToken}`,
      `Bearer  ${u.accessToken} `,
      `Bearer\t${u.accessToken}`,
      `Bearer ${u.accessToken},x`,
      u.accessToken,
      `Basic ${u.accessToken}`,
      `Bearer ${u.accessToken}.`,
      `Bearer ${u.accessToken}=`,
      `Bearer ${u.accessToken.replace(/\./, '.\u00a0')}`,
    ]) {
      const r = await app.http
        .get('/api/v1/users/me')
        .set('Authorization', a)
        .catch((e: Error) => ({ status: 0, body: e.message }));
      say('authz', a.slice(0, 20), r.status);
    }
    const r = await app.http.get(`/api/v1/users/me?access_token=${u.accessToken}`);
    say('query token', r.status);
    const r2 = await app.http
      .post('/api/v1/auth/register')
      .set('Authorization', 'Bearer junk')
      .send({ email: 'junkauth@example.com', password: PASSWORD });
    say('register junk bearer', r2.status);
    const admin = await anAdmin(app);
    const v = await aUser(app);
    for (const m of ['get', 'put', 'patch', 'delete'] as const) {
      const r3 = await app.http[m](`/api/v1/users/${v.id.toUpperCase()}`)
        .set(admin.auth)
        .send(m === 'get' ? undefined : {});
      say(m, r3.status);
    }
    const own = await app.http.delete(`/api/v1/users/${u.id}`).set(u.auth);
    say('own delete w/o password', own.status, own.body);
  }, 60000);
});

describe('limited', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp({ RATE_LIMIT_ENABLED: 'true', TRUST_PROXY: '1', RATE_LIMIT_CREDENTIALS: '1000/60' });
  });
  afterAll(async () => {
    process.stdout.write(out.join('\n') + '\n');
    await app.close();
  });
  it('xff', async () => {
    const u = await aUser(app);
    for (const x of [
      'garbage',
      'a'.repeat(100),
      '::ffff:1.2.3.4',
      '1.2.3.4:555',
      'fe80::1%' + 'e'.repeat(60),
      '',
      ',',
      '1.2.3.4, ',
      'unknown',
      '[2001:db8::1]:4711',
    ]) {
      const r = await app.http
        .post('/api/v1/auth/login')
        .set('X-Forwarded-For', x)
        .send({ email: u.email, password: u.password });
      say('xff', x.slice(0, 30), r.status, r.headers['x-ratelimit-remaining'], r.body.detail ?? 'ok');
    }
    const { rows } = await app.pool.query('select ip_address from sessions order by id');
    say(rows.map((r: { ip_address: string }) => r.ip_address));
    for (const x of [
      '2001:db8:1:1::1',
      '2001:db8:1:1:ffff::2',
      '2001:db8:1:2::1',
      '2001:DB8:1:1::3',
      '::ffff:9.9.9.9',
      '9.9.9.9',
      '::ffff:909:909',
    ]) {
      const r = await app.http.get('/api/v1/users').set('X-Forwarded-For', x);
      say('ipv6', x, r.status, r.headers['x-ratelimit-remaining']);
    }
    for (const p of [
      '/api/v1/auth/login',
      '/api/v1/auth/login/',
      '/auth/login',
      '/auth/login/',
      '/api/v1/auth/%6cogin',
      '/API/v1/auth/login',
      '/api/v1//auth/login',
      '/api/v1/auth/login?x=1',
      '/api/v1/auth/login#x',
      '/auth/login#x',
      '/%61uth/login',
      '/api/v1/users',
      '/users/',
      '/api/v1/auth/register',
      '/api/v1/auth/login;a=b',
      'http://h/api/v1/auth/login',
    ]) {
      const r = await raw(
        app.port,
        `POST ${p} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 5.5.5.5\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`,
      );
      say(
        'bucket',
        p,
        r.split('\r\n')[0],
        /x-ratelimit-limit: \d+/i.exec(r)?.[0],
        /x-ratelimit-remaining: \d+/i.exec(r)?.[0],
      );
    }
    for (const p of [
      '/api/v1/users/%zz',
      `/api/v1/users/${'a'.repeat(3000)}`,
      '/nope',
      '/api/v1/users?x=%ff',
      '/health',
      '/openapi.json',
      '/docs/assets/nope',
    ])
      say(
        'hdr',
        p.slice(0, 40),
        (await raw(app.port, `GET ${p} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`))
          .split('\r\n\r\n')[0]
          .replace(/\r\n/g, ' | '),
      );
  }, 60000);
});
