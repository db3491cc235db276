// Brings the clients in step with openapi.json: the types of the TypeScript client, the models and the synchronous half of the Python client.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import openapiTS, { astToString, COMMENT_HEADER } from 'openapi-typescript';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What sdk/typescript/src/schema.ts has to be. */
export async function typescriptSchema() {
  const document = JSON.parse(readFileSync(join(root, 'openapi.json'), 'utf8'));
  // What has a default may be left out of a request.
  return COMMENT_HEADER + astToString(await openapiTS(document, { defaultNonNullable: false }));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeFileSync(join(root, 'sdk/typescript/src/schema.ts'), await typescriptSchema());
  execFileSync('python3', [join(root, 'sdk/python/scripts/generate.py')], { stdio: 'inherit' });
}
