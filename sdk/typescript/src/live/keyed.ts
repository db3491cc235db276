import type { PublishInput } from '../types.js';

/** A durable message without a key gets a random one, so that it can be sent again and is published once. */
export function keyed(input: PublishInput): PublishInput {
  if (input.durable === false || typeof input.idempotency_key === 'string') return input;
  return { ...input, idempotency_key: randomKey() };
}

/** crypto.randomUUID() is missing on pages that do not come by HTTPS. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
