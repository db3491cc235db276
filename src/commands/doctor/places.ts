import { constants } from 'node:fs';
import { access, mkdtemp, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Whether a folder is there; `null` where it could be made, or the reason why it could not. */
export async function lookAtFolder(path: string): Promise<{ isThere: boolean; fault: string | null }> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (!(found instanceof Error)) {
    if (!found.isDirectory()) return { isThere: false, fault: `${path} is not a folder` };
    return { isThere: true, fault: await accessFault(path) };
  }
  if (found.code !== 'ENOENT') return { isThere: false, fault: found.message };
  const parent = dirname(path);
  if (parent === path) return { isThere: false, fault: found.message };
  const { isThere, fault } = await lookAtFolder(parent);
  return { isThere: false, fault: fault ?? (isThere ? await makingFault(parent) : null) };
}

/** Where nothing can be made although this user may: in /proc, say. */
async function makingFault(path: string): Promise<string | null> {
  try {
    await rmdir(await mkdtemp(join(path, '.gatehouse-doctor-')));
    return null;
  } catch {
    return `${path} cannot be written by this user`;
  }
}

async function accessFault(path: string): Promise<string | null> {
  return access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => null,
    () => `${path} cannot be written by this user`,
  );
}
