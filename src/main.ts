import cluster from 'node:cluster';
import { loadConfig, readDotenvFile } from './config/load-config.js';
import { serve } from './serve.js';
import { runPrimary } from './workers/primary.js';

/** The program is one process that answers requests, or one that keeps several of those. */
export async function start(): Promise<void> {
  const environment = { ...process.env };
  readDotenvFile();
  const config = loadConfig(process.env);
  return cluster.isPrimary && config.concurrency > 1 ? runPrimary(config, environment) : serve(config);
}
