// For `node --import`: files are not synced with the disk, so that a benchmark can tell what that costs.
import { open } from 'node:fs/promises';

const file = await open(import.meta.filename);
const { prototype } = file.constructor;
await file.close();
prototype.sync = prototype.datasync = async () => {};
