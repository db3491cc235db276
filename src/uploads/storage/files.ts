import { type FileHandle, open, stat, unlink } from 'node:fs/promises';

export const isErrno = (error: unknown, ...codes: string[]): boolean =>
  codes.includes((error as NodeJS.ErrnoException | null)?.code ?? '');

/** Makes what was made, renamed or removed in a folder survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  // Windows knows no handle of a folder; there NTFS's journal keeps renames in order.
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

export async function statIfThere(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

export const byteLength = (chunks: readonly Buffer[]): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0);

/** Writes all bytes of the chunks at `position`; answers how many they are. */
export async function writeAll(file: FileHandle, chunks: readonly Buffer[], position: number): Promise<number> {
  const size = byteLength(chunks);
  let { bytesWritten } = await file.writev(chunks as Buffer[], position);
  // A nearly full disk takes a part and fails on the rest.
  for (const rest = bytesWritten < size ? Buffer.concat(chunks) : null; rest && bytesWritten < size;)
    bytesWritten += (await file.write(rest, bytesWritten, size - bytesWritten, position + bytesWritten)).bytesWritten;
  return size;
}
