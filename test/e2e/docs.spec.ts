import { existsSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import { load } from 'js-yaml';
import { type Browser, chromium, type Page } from 'playwright-core';
import { startTestApp, type TestApp } from '../support/test-app.js';

// Published as CommonJS, typed as an ES module.
const addFormats = addFormatsModule as unknown as (ajv: Ajv2020) => void;

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const hasBrowser = existsSync(CHROMIUM);
const inBrowser = hasBrowser ? describe : describe.skip;
if (!hasBrowser)
  process.stderr.write(`The pages are not tested: there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`);

describe('the documents', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  it('are the same as JSON and as YAML', async () => {
    const json = await app.http
      .get('/openapi.json')
      .expect(200)
      .expect('Content-Type', /^application\/json/);
    const yaml = await app.http
      .get('/openapi.yaml')
      .expect(200)
      .expect('Content-Type', /^application\/yaml/);
    expect(load(yaml.text)).toEqual(json.body);
    expect(json.body.openapi).toBe('3.1.0');
  });

  it('document every operation with a summary, an id of its own, and every error it can give', async () => {
    const { body } = await app.http.get('/openapi.json');
    const operations = Object.entries(body.paths).flatMap(([path, item]) =>
      Object.entries(item as object).map(([method, operation]) => ({ path, method, ...operation })),
    );
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    for (const { path, method, summary, responses, requestBody, security } of operations) {
      const statuses = Object.keys(responses);
      expect([path, method, summary]).toEqual([path, method, expect.stringMatching(/\w/)]);
      if (/\/(health|metrics)$/.test(path)) continue;
      expect(statuses).toEqual(expect.arrayContaining(['429', '500', '503']));
      if (requestBody) expect(statuses).toEqual(expect.arrayContaining(['400', '413', '415', '422']));
      if (security.length > 0 && Object.keys(security[0]).length > 0) expect(statuses).toContain('401');
      if (path.includes('{id}')) expect(statuses).toContain('404');
    }
  });

  it('name the ways to sign in once each, and API keys where they are taken and nowhere else', async () => {
    const { body } = await app.http.get('/openapi.json');
    for (const [path, item] of Object.entries<object>(body.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        const access = operation['x-access'];
        const schemes = [
          ...(access === 'optional' ? [[]] : []),
          ...(access === 'public' ? [] : [['password'], ['bearer']]),
          ...(access === 'optional' || operation['x-scope'] ? [['apiKey']] : []),
        ];
        expect([method, path, operation.security.map(Object.keys)]).toEqual([method, path, schemes]);
      }
    }
    expect(body.paths['/api/v1/broadcasting/stream/ticket'].post.security).toEqual([{ password: [] }, { bearer: [] }]);
  });

  it('describe the root dialect in its envelope', async () => {
    const { body } = await app.http.get('/openapi-root.json').expect(200);
    expect(Object.keys(body.paths)).toEqual(expect.arrayContaining(['/auth/login', '/users/me']));
    const { schema } = body.paths['/users/me'].get.responses['200'].content['application/json'];
    expect(schema.required).toEqual(['data', 'status', 'code']);
  });

  it('have examples that satisfy their own schemas', async () => {
    const { body } = await app.http.get('/openapi.json');
    const ajv = new Ajv2020({ strict: false });
    addFormats(ajv);
    ajv.addSchema({ $id: 'document', ...body });
    for (const [name, schema] of Object.entries<any>(body.components.schemas)) {
      const fields = Object.entries<any>(schema.properties ?? {}).filter(
        ([, field]) => 'example' in field && !('$ref' in field),
      );
      for (const [field, { example }] of fields) {
        const validate = ajv.getSchema(`document#/components/schemas/${name}/properties/${field}`);
        expect([name, field, validate?.(example), validate?.errors]).toEqual([name, field, true, null]);
      }
    }
  });
});

inBrowser('Swagger UI', () => {
  let app: TestApp;
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    app = await startTestApp();
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    page = await browser.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(app.url) && !request.url().startsWith('data:'))
        complaints.push(`left the server: ${request.url()}`);
    });
    await page.goto(`${app.url}/docs`);
  });
  afterAll(async () => {
    await browser.close();
    await app.close();
  });

  /** Opens an operation, presses Execute with the example that is there, and waits for the answer. */
  const execute = async (operation: string, path: string) => {
    const block = page.locator(`[id$="-${operation}"]`);
    await block.locator('.opblock-summary-path').click();
    const [response] = await Promise.all([
      page.waitForResponse((answer) => answer.url().endsWith(path)),
      block.locator('.execute').click(),
    ]);
    return response.status();
  };

  it('signs up with the example as it stands', async () => {
    expect(await execute('post_auth_register', '/auth/register')).toBe(201);
  });

  it('offers three ways to authorise, and the password form works', async () => {
    await page.click('.btn.authorize');
    await page.waitForSelector('#oauth_username');
    expect(await page.locator('#oauth_username:focus').count()).toBe(1);
    expect(await page.locator('.modal-ux-content').evaluate(({ scrollTop }) => scrollTop)).toBe(0);
    const names = await page.locator('.auth-container h4, .auth-container h3').allTextContents();
    for (const scheme of ['password', 'bearer', 'apiKey']) expect(names.join(' ')).toContain(scheme);
    await page.fill('#oauth_username', 'john_doe');
    await page.fill('#oauth_password', 'SecurePass123!');
    const form = page.locator('.auth-container:has(#oauth_username)');
    const [response] = await Promise.all([
      page.waitForResponse(/auth\/login/),
      form.locator('button.authorize').click(),
    ]);
    expect(response.status()).toBe(200);
    await page.locator('.auth-btn-wrapper button:has-text("Logout")').waitFor();
  });

  it('keeps the token over a reload', async () => {
    await page.goto(`${app.url}/docs`);
    await page.reload();
    expect(await execute('get_users_me', '/users/me')).toBe(200);
  });

  it('changes the user with the example as it stands', async () => {
    expect(await execute('put_users_me', '/users/me')).toBe(200);
  });

  it('fills in neither pages nor filters, so that a list is had as it stands and with skip', async () => {
    for (const operation of ['get_admin_audit_log', 'get_admin_uploads', 'get_uploads']) {
      const block = page.locator(`[id$="-${operation}"]`);
      await block.locator('.opblock-summary-path').click();
      const inputs = block.locator('.parameters input');
      await inputs.first().waitFor();
      const values = await Promise.all((await inputs.all()).map((input) => input.inputValue()));
      expect([operation, ...new Set(values)]).toEqual([operation, '']);
    }
    const list = page.locator('[id$="-get_uploads"]');
    await list.locator('tr[data-param-name="skip"] input').fill('0');
    const [response] = await Promise.all([page.waitForResponse(/\/uploads\?/), list.locator('.execute').click()]);
    expect([response.status(), response.url()]).toEqual([200, expect.stringContaining('skip=0')]);
  });

  it('runs under its strict content security policy and asks no other server', async () => {
    const { headers } = await app.http.get('/docs');
    expect(headers['content-security-policy']).not.toMatch(/unsafe/);
    expect(complaints).toEqual([]);
  });
});
