import type { IncomingMessage } from 'node:http';
import { UploadInterruptedError, UploadStalledError } from '../uploads.errors.js';

/** In each window at least so much must arrive: fast enough for any line, too fast for someone who only wants to hold places. */
const WINDOW_BYTES_MIN = 16 * 1024;

/**
 * Watches a body that is being received, for which there is no deadline as a whole. Rejects when the sender has gone or hardly sends
 * any more; never resolves. A sender that we hold up ourselves is not slow.
 */
export function watchProgress(
  request: IncomingMessage,
  windowSeconds: number,
): { failed: Promise<never>; stop(): void } {
  let stop = () => {};
  const failed = new Promise<never>((_resolve, reject) => {
    // All bytes may have come, but what we have not read of them went with the connection.
    const onGone = () => !request.readableEnded && reject(new UploadInterruptedError());
    if (request.destroyed) onGone();
    let before = request.socket.bytesRead;
    let wasHeldUp = true;
    const onPause = () => (wasHeldUp = true);
    const timer = setInterval(() => {
      if (request.complete) return;
      const { bytesRead } = request.socket;
      // Neither reading yet nor at the moment: it is us who are slow.
      const isHeldUp = request.readableFlowing !== true;
      if (!wasHeldUp && !isHeldUp && bytesRead - before < WINDOW_BYTES_MIN) reject(new UploadStalledError());
      before = bytesRead;
      wasHeldUp = isHeldUp;
    }, windowSeconds * 1000);
    request.on('pause', onPause).on('close', onGone).on('error', onGone);
    stop = () => {
      clearInterval(timer);
      request.off('pause', onPause).off('close', onGone);
    };
  });
  failed.catch(() => undefined);
  return { failed, stop };
}
