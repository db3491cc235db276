import {
  constants,
  type IntervalHistogram,
  monitorEventLoopDelay,
  performance,
  type PerformanceEntry,
  PerformanceObserver,
} from 'node:perf_hooks';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import addHeap from 'prom-client/lib/metrics/heapSizeAndUsed.js';
import addMemory from 'prom-client/lib/metrics/osMemoryHeap.js';
import addCpu from 'prom-client/lib/metrics/processCpuTotal.js';
import addFilesMax from 'prom-client/lib/metrics/processMaxFileDescriptors.js';
import addFiles from 'prom-client/lib/metrics/processOpenFileDescriptors.js';
import addStartTime from 'prom-client/lib/metrics/processStartTime.js';
import addNodeVersion from 'prom-client/lib/metrics/version.js';
import { VERSION } from '../version.js';

const RESOLUTION_MS = 10;
const PERCENTILES = [50, 90, 99, 100];
const GC_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1];
const GC_KINDS = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
]);

/**
 * The process: its event loop, garbage collection, memory, processor time. `collectDefaultMetrics()` cannot be stopped, and counts one
 * collection of those that come together: so loop and collector are observed here, once somebody has asked.
 */
@Injectable()
export class RuntimeMetrics implements OnApplicationShutdown {
  private readonly collections: Histogram<'kind'>;
  private delays: IntervalHistogram | null = null;
  private collector: PerformanceObserver | null = null;

  constructor(registry: Registry) {
    for (const add of [addCpu, addStartTime, addMemory, addFiles, addFilesMax, addHeap, addNodeVersion]) add(registry);
    const registers = [registry];
    this.collections = new Histogram({
      name: 'nodejs_gc_duration_seconds',
      help: 'Garbage collections by kind, since metrics were first asked for',
      labelNames: ['kind'],
      buckets: GC_SECONDS,
      registers,
    });
    const build = {
      name: 'gatehouse_build_info',
      help: 'The version of Gatehouse; always 1',
      aggregator: 'first' as const,
    };
    new Gauge({ ...build, labelNames: ['version'], registers }).set({ version: VERSION }, 1);
    this.addEventLoop(registry);
  }

  /** Idempotent. */
  start(): void {
    if (this.delays) return;
    this.delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.delays.enable();
    this.collector = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { detail } = entry as PerformanceEntry & { detail?: { kind?: number } };
        const kind = GC_KINDS.get(detail?.kind ?? 0);
        if (kind) this.collections.observe({ kind }, entry.duration / 1000);
      }
    });
    this.collector.observe({ entryTypes: ['gc'] });
  }

  onApplicationShutdown(): void {
    this.delays?.disable();
    this.collector?.disconnect();
  }

  private addEventLoop(registry: Registry): void {
    const registers = [registry];
    const delays = () => this.delays;
    new Gauge({
      name: 'gatehouse_event_loop_delay_seconds',
      help: 'How late the event loop was since the last scrape; quantile 1 is the worst',
      labelNames: ['quantile'],
      aggregator: 'max',
      registers,
      collect() {
        const histogram = delays();
        if (!histogram || histogram.count === 0) return;
        // What is measured is the time between two turns of a timer, its own interval included.
        for (const percentile of PERCENTILES) {
          const late = histogram.percentile(percentile) / 1e9 - RESOLUTION_MS / 1000;
          this.set({ quantile: percentile / 100 }, Math.max(0, late));
        }
        histogram.reset();
      },
    });
    new Counter({
      name: 'gatehouse_event_loop_active_seconds_total',
      help: 'Time in which the event loop was at work; its rate is the loop’s utilisation',
      registers,
      collect() {
        this.reset();
        this.inc(performance.eventLoopUtilization().active / 1000);
      },
    });
  }
}
