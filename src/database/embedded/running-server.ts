import fs from 'node:fs';
import { openHomeDirectory } from './home-directory.js';

/** Where the lines of postmaster.pid stand. */
const PORT_LINE = 3;
const SOCKET_LINE = 4;

/** How to reach the server that another process of ours runs on this directory; `null` when none runs. Nothing is started or changed. */
export function findRunningServer(directory: string): { host: string; port: number; password: string } | null {
  if (!fs.existsSync(directory)) return null;
  const home = openHomeDirectory(directory, () => undefined);
  try {
    const lines = fs.readFileSync(home.serverPidFile, 'utf8').split('\n');
    const password = fs.readFileSync(home.passwordFile, 'utf8').trim();
    return { host: lines[SOCKET_LINE] || '127.0.0.1', port: Number(lines[PORT_LINE]), password };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
