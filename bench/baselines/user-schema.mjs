const text = { type: 'string' };
const textOrNull = { type: 'string', nullable: true };
const flag = { type: 'boolean' };
const count = { type: 'integer' };

/** The body of `GET /users/me`, for Fastify's serialiser. */
export const userSchema = {
  type: 'object',
  properties: {
    id: text,
    email: text,
    username: text,
    full_name: textOrNull,
    role: text,
    is_active: flag,
    is_superuser: flag,
    is_verified: flag,
    created_at: text,
    updated_at: text,
    last_login: textOrNull,
    profile: {
      type: 'object',
      properties: { first_name: textOrNull, last_name: textOrNull, bio: textOrNull, phone_number: textOrNull },
    },
    stats: { type: 'object', properties: { total_uploads: count, total_storage_used: count } },
  },
};
