import type { FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import type { ByteRange } from './blob-storage.js';

/** Large enough that a trip to the thread pool costs little beside what it brings. */
const BUFFER_BYTES = 512 * 1024;

/**
 * Sends a part of an open file through two buffers: while one is on its way to the socket, the other is being read into. A stream
 * would have to take new memory for every chunk, since it cannot know when one has been sent. Closes the file, leaves the socket open.
 */
export async function sendFile(file: FileHandle, { start, end }: ByteRange, target: Writable): Promise<void> {
  const size = Math.min(BUFFER_BYTES, end + 1 - start);
  const [first, second] = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)];
  try {
    let sending: Promise<void> = Promise.resolve();
    let buffer = first;
    for (let position = start; position <= end;) {
      const length = Math.min(size, end + 1 - position);
      const { bytesRead } = await file.read(buffer, 0, length, position);
      // Ending quietly would leave a client waiting for the length that it was told.
      if (bytesRead === 0) throw new Error(`The file ends at ${position}, before ${end + 1}`);
      position += bytesRead;
      await sending;
      sending = send(target, buffer.subarray(0, bytesRead));
      // Told by the next `await`; until then it is nobody's.
      sending.catch(() => undefined);
      buffer = buffer === first ? second : first;
    }
    await sending;
  } finally {
    await file.close();
  }
}

/** Resolves when the bytes have left, and rejects when they cannot. */
function send(target: Writable, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    if (target.destroyed) return reject(new Error('The client has gone'));
    const onClose = () => reject(new Error('The client has gone'));
    target.once('close', onClose);
    target.write(chunk, (error) => {
      target.off('close', onClose);
      if (error) reject(error);
      else resolve();
    });
  });
}
