/** What an API key may be good for; never more than its owner may do. */
export const SCOPES = [
  'users:read',
  'users:write',
  'uploads:read',
  'uploads:write',
  'broadcast:read',
  'broadcast:write',
  'admin',
] as const;
export type Scope = (typeof SCOPES)[number];
