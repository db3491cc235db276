import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installedClient } from './installed.js';
import { TestServer } from './support.js';
it('runs', async () => {
  const client = installedClient(); const server = await TestServer.start();
  const { email, password } = await server.user();
  const text = readFileSync('/tmp/work/readme-uploads.md', 'utf8');
  const blocks = [...text.matchAll(/```js\n([^]*?)```\n\n```text\n([^]*?)```/g)];
  const code = blocks.map(([, js]) => js).join('\nconsole.log("-----");\n');
  writeFileSync(join(client.path, 'a.mjs'), `import { Gatehouse } from '@gatehouse/client'; const api = new Gatehouse({ baseURL: '${server.url}' }); await api.auth.login({ email: '${email}', password: '${password}' });\n` + code);
  const { stdout } = await promisify(execFile)(process.execPath, ['--no-warnings','a.mjs'], { cwd: client.path });
  const outs = stdout.split('-----\n');
  await server.stop(); client.remove();
  expect(outs.map((o) => o)).toEqual(blocks.map(([, , t]) => t));
}, 60000);
