import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type pg from 'pg';
import pino from 'pino';
import supertest from 'supertest';
import { createApp } from '../../src/app.setup.js';
import { loadConfig } from '../../src/config/load-config.js';
import { MailSender } from '../../src/mail/mail-sender.js';
import type { VariableName } from '../../src/config/variables.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';

export interface TestApp {
  app: NestFastifyApplication;
  /** `http://127.0.0.1:PORT` */
  url: string;
  port: number;
  /** supertest against the listening server. */
  http: ReturnType<typeof supertest>;
  pool: pg.Pool;
  database: TestDatabase;
  /** DATA_DIR: the files are in `files` below it. */
  dataDir: string;
  /** What the program has logged, line by line. */
  log: string[];
  close(): Promise<void>;
}

const QUICK_BCRYPT_COST = 4;
const TEST_SECRET = 'a secret for tests that is long enough: 0123456789';

interface TestAppOptions {
  /** Another node: on the database of this application, which is to be closed after it. */
  beside?: TestApp;
}

/** The real application on a database of its own, listening on a free port of the loopback. Rate limits are off unless asked for. */
export async function startTestApp(
  environment: Partial<Record<VariableName, string>> = {},
  { beside }: TestAppOptions = {},
): Promise<TestApp> {
  const database = beside?.database ?? (await createTestDatabase());
  const dataDir = environment.DATA_DIR ?? mkdtempSync(join(tmpdir(), 'gatehouse-test-app-'));
  const loaded = loadConfig({
    NODE_ENV: 'test',
    DATA_DIR: dataDir,
    JWT_SECRET: TEST_SECRET,
    RATE_LIMIT_ENABLED: 'false',
    ...environment,
  });
  // Hashing is real but quick; a test that needs it slow sets BCRYPT_COST, which takes 10 or more.
  const config = environment.BCRYPT_COST
    ? loaded
    : { ...loaded, accounts: { ...loaded.accounts, bcryptCost: QUICK_BCRYPT_COST } };
  const log: string[] = [];
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      log.push(chunk.toString());
      done();
    },
  });
  const app = await createApp(config, database.connection, pino({ level: 'debug' }, sink));
  await app.listen({ host: '127.0.0.1', port: 0 });
  app.get(MailSender).start();
  const { port } = app.getHttpServer().address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return {
    app,
    url,
    port,
    http: supertest(url),
    pool: database.pool,
    database,
    dataDir,
    log,
    close: async () => {
      await app.close();
      if (!beside) await database.drop();
      if (!environment.DATA_DIR) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
