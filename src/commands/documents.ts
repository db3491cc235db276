import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createAsyncDocument } from '../asyncapi.js';
import { openDatabase } from '../database/open-database.js';
import { createDocument } from '../openapi.js';
import { withApp } from './with-app.js';

/** `gatehouse openapi` and `gatehouse asyncapi`. They are made from the running program, so they want the same database as a start. */
export const printOpenApi = () => print(createDocument);
export const printAsyncApi = () => print(createAsyncDocument);

async function print(createFrom: (app: NestFastifyApplication) => object): Promise<void> {
  await withApp(openDatabase, async (app) => {
    process.stdout.write(`${JSON.stringify(createFrom(app), null, 2)}\n`);
  });
}
