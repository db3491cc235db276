import type { WorkerMessage } from '../coordination/worker.js';
import type { Shutdown } from '../server/shutdown.js';

/** A worker ends when its primary says so, and with it. What signals all processes at once is the primary's to act on. */
export function obeyPrimary(shutdown: Shutdown): void {
  process.on('SIGHUP', () => undefined);
  process.on('message', (message: WorkerMessage) => {
    if (message.type === 'gatehouse:stop')
      shutdown.begin('The primary process asks to stop, finishing the requests in flight');
  });
  process.on('disconnect', () => shutdown.begin('The primary process has gone, finishing the requests in flight'));
}
