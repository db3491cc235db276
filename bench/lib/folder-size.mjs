import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK_BYTES = 512;

/** What a folder takes of the disk, as `du` counts it, and how many files it has. `isSkipped` leaves out folders by their name. */
export function folderSize(path, isSkipped = () => false) {
  let bytes = 0;
  let files = 0;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory() && isSkipped(entry.name)) continue;
    const below = entry.isDirectory() ? folderSize(inner, isSkipped) : { bytes: sizeOnDisk(inner), files: 1 };
    bytes += below.bytes;
    files += below.files;
  }
  return { bytes: bytes + sizeOnDisk(path), files };
}

function sizeOnDisk(path) {
  const { blocks, size } = lstatSync(path);
  return blocks === undefined ? size : blocks * BLOCK_BYTES;
}
