import { S3Client } from '@aws-sdk/client-s3';
import type { S3Config } from '../../config/app-config.js';

const CONNECTION_MS = 5_000;
const IDLE_MS = 30_000;
const ATTEMPTS = 3;

const silent = () => undefined;

/**
 * Two clients of the same service. A connection on which nothing happens for half a minute is given up, except when it is a download:
 * there the reader may well be slower than that, and only the beginning of the answer is waited for so long.
 */
export function createClients(config: S3Config): { requests: S3Client; downloads: S3Client } {
  return {
    requests: createClient(config, { socketTimeout: IDLE_MS }),
    downloads: createClient(config, { socketTimeout: 0, requestTimeout: IDLE_MS, throwOnRequestTimeout: true }),
  };
}

function createClient(config: S3Config, timeouts: Record<string, number | boolean>): S3Client {
  // Slow downloads would otherwise keep the default's 50 connections from everybody else.
  const agent = { keepAlive: true, maxSockets: Infinity };
  return new S3Client({
    endpoint: config.endpoint ?? undefined,
    region: config.region,
    forcePathStyle: config.forcePathStyle,
    credentials: { accessKeyId: config.accessKeyId, secretAccessKey: config.secretAccessKey },
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECTION_MS, httpAgent: agent, httpsAgent: agent, ...timeouts },
    // Stores that are not AWS refuse checksums that they do not know.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Costs a connection for each part, and six seconds at a store that does not answer to it.
    expectContinueHeader: false,
    // Warnings about what we handle would go to the console.
    logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent },
  });
}
