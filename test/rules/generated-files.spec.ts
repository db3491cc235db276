import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { migrations } from '../../migrations/index.js';
import { describeAsDotenv, describeAsMarkdown } from '../../src/config/describe.js';
import { startTestApp, type TestApp } from '../support/test-app.js';

const root = join(__dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

describe('files made from the program (renew them with `npm run generate`)', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp();
  });
  afterAll(() => app.close());

  it('.env.example names every variable with its default', () => {
    expect(read('.env.example')).toBe(describeAsDotenv());
  });

  it("the README's table names every variable with its default", () => {
    expect(read('README.md')).toContain(describeAsMarkdown());
  });

  it.each(['openapi.json', 'asyncapi.json'])('%s is the document that the program serves', async (name) => {
    const { body } = await app.http.get(`/${name}`).expect(200);
    expect(JSON.parse(read(name))).toEqual(body);
  });

  it('the list of migrations is the folder, in order', () => {
    const files = readdirSync(join(root, 'migrations'))
      .filter((name) => /^\d+-.*\.ts$/.test(name))
      .sort();
    expect(migrations.map(({ name }) => name.replace(/^.*?(\d+)$/, '$1'))).toEqual(
      files.map((name) => name.split('-')[0]),
    );
  });
});
