import type { Transport } from '../http/transport.js';

/** Files. */
export class Uploads {
  constructor(protected readonly transport: Transport) {}
}
