import type { AuditEntry } from '../audit/audit-history.service.js';
import type { ApiKeysService } from '../auth/keys/api-keys.service.js';

type ApiKey = Awaited<ReturnType<ApiKeysService['list']>>['keys'][number];

/** Without anything that could be used, or compared, as the key. */
export const apiKeyDocument = (key: ApiKey) => ({
  id: key.id,
  name: key.name,
  scopes: key.scopes,
  created_at: key.createdAt.toISOString(),
  expires_at: key.expiresAt?.toISOString() ?? null,
  last_used_at: key.lastUsedAt?.toISOString() ?? null,
});

export const auditDocument = (entry: AuditEntry) => ({
  id: entry.id,
  created_at: entry.createdAt.toISOString(),
  actor_id: entry.actorId,
  action: entry.action,
  target_type: entry.targetType,
  target_id: entry.targetId,
  ip_address: entry.ipAddress,
  user_agent: entry.userAgent,
  request_id: entry.requestId,
  details: entry.details,
});

/** Each item of a list in the form that it is handed out in. */
export async function* mapped<Item, Document>(
  items: AsyncIterable<Item> | Iterable<Item>,
  toDocument: (item: Item) => Document,
): AsyncGenerator<Document> {
  for await (const item of items) yield toDocument(item);
}
