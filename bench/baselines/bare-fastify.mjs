// What the machine allows: Fastify, pg and a check, without a framework's or a product's work. It reads the product's own table.
import { createSecretKey } from 'node:crypto';
import fastify from 'fastify';
import jwt from 'jsonwebtoken';
import pg from 'pg';
import { loadBcrypt } from './native-bcrypt.mjs';
import { userSchema } from './user-schema.mjs';

const { DATABASE_URL, HOST, PORT, JWT_SECRET } = process.env;
const POOL_SIZE = 10;
const key = createSecretKey(Buffer.from(JWT_SECRET));
const rules = { algorithms: ['HS256'], issuer: 'gatehouse', audience: 'gatehouse-api' };
const bcrypt = loadBcrypt();
const pool = new pg.Pool({ connectionString: DATABASE_URL, max: POOL_SIZE });
const server = fastify({ logger: false });

server.get('/health', () => ({ status: 'ok' }));

server.get('/password-hash', () => ({ name: bcrypt.name }));

server.get('/users/me', { schema: { response: { 200: userSchema } } }, async (request, reply) => {
  const claims = jwt.verify((request.headers.authorization ?? '').slice('Bearer '.length), key, rules);
  const { rows } = await pool.query({
    name: 'user-by-id',
    text: `SELECT id, email, username, full_name, first_name, last_name, bio, phone_number, role, is_active, is_verified,
                  total_uploads, total_storage_used, last_login, created_at, updated_at FROM users WHERE id = $1`,
    values: [claims.sub],
  });
  if (!rows[0]) return reply.code(401).send();
  return toBody(rows[0]);
});

server.post('/auth/login', async (request, reply) => {
  const { email, password } = request.body;
  const { rows } = await pool.query({
    name: 'account-by-email',
    text: 'SELECT id, password_hash FROM bare_accounts WHERE lower(email) = lower($1)',
    values: [email],
  });
  if (!rows[0] || !(await bcrypt.compare(password, rows[0].password_hash))) return reply.code(401).send();
  return { access_token: jwt.sign({ sub: rows[0].id }, key, { expiresIn: 900 }), token_type: 'bearer' };
});

const toBody = (row) => ({
  id: row.id,
  email: row.email,
  username: row.username,
  full_name: row.full_name,
  role: row.role,
  is_active: row.is_active,
  is_superuser: row.role === 'admin',
  is_verified: row.is_verified,
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at.toISOString(),
  last_login: row.last_login?.toISOString() ?? null,
  profile: { first_name: row.first_name, last_name: row.last_name, bio: row.bio, phone_number: row.phone_number },
  stats: { total_uploads: row.total_uploads, total_storage_used: Number(row.total_storage_used) },
});

process.once('SIGTERM', () => process.exit(0));
await server.listen({ host: HOST, port: Number(PORT) });
