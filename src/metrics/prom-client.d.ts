/** The parts of `collectDefaultMetrics()` that only look when they are asked, and so leave nothing behind. */
declare module 'prom-client/lib/metrics/*.js' {
  import type { Registry } from 'prom-client';
  export default function add(registry: Registry): void;
}
