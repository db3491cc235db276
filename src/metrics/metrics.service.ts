import { Injectable } from '@nestjs/common';
import { Registry } from 'prom-client';
import { RuntimeMetrics } from './runtime-metrics.js';

@Injectable()
export class MetricsService {
  constructor(
    private readonly registry: Registry,
    private readonly runtime: RuntimeMetrics,
  ) {}

  /** Everything, in the text format of Prometheus. */
  read(): Promise<string> {
    this.runtime.start();
    return this.registry.metrics();
  }
}
