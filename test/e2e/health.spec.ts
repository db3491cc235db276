import { startTestApp, type TestApp } from '../support/test-app.js';

describe('health', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  it('answers liveness without a database', async () => {
    await app.http.get('/health').expect(200, { status: 'ok' });
  });

  it('answers readiness with the parts', async () => {
    const { body } = await app.http.get('/api/v1/health').expect(200);
    expect(body).toMatchObject({ status: 'healthy', database: 'healthy' });
  });

  it('carries no rate limit headers', async () => {
    const { headers } = await app.http.get('/api/v1/health');
    expect(Object.keys(headers).filter((name) => name.startsWith('x-ratelimit'))).toEqual([]);
  });
});
