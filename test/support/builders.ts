import { randomBytes } from 'node:crypto';
import bcrypt from 'bcryptjs';
import { v7 as uuidv7 } from 'uuid';
import type { TestApp } from './test-app.js';

/** The password of every user that `aUser()` makes. */
export const PASSWORD = 'Correct-Horse-1';

export interface TestUser {
  id: string;
  email: string;
  username: string;
  password: string;
}

export interface SignedIn extends TestUser {
  accessToken: string;
  refreshToken: string;
  /** For supertest's `.set()`. */
  auth: { Authorization: string };
}

interface UserOptions {
  role?: 'user' | 'admin';
  isActive?: boolean;
  email?: string;
  username?: string;
  fullName?: string;
}

let knownHash: Promise<string> | null = null;

/** The stored form of PASSWORD, made once by the program itself, so that a user costs one INSERT. */
function hashOf(app: TestApp): Promise<string> {
  knownHash ??= (async () => {
    const email = `${randomBytes(6).toString('hex')}@hash.example`;
    const { body } = await app.http.post('/api/v1/auth/register').send({ email, password: PASSWORD }).expect(201);
    const { rows } = await app.pool.query<{ password_hash: string }>(
      'DELETE FROM users WHERE id = $1 RETURNING password_hash',
      [body.id],
    );
    return rows[0].password_hash;
  })();
  return knownHash;
}

/** A user that is in the database, not signed in. */
export async function aUser(app: TestApp, options: UserOptions = {}): Promise<TestUser> {
  const hash = await hashOf(app);
  if (!bcrypt.getRounds(hash)) throw new Error('not a bcrypt hash');
  const name = `user_${randomBytes(6).toString('hex')}`;
  const user = {
    id: uuidv7(),
    email: options.email ?? `${name}@example.com`,
    username: options.username ?? name,
    password: PASSWORD,
  };
  await app.pool.query(
    `INSERT INTO users (id, email, username, full_name, role, is_active, is_verified, password_hash, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, false, $7, now(), now())`,
    [
      user.id,
      user.email,
      user.username,
      options.fullName ?? null,
      options.role ?? 'user',
      options.isActive ?? true,
      hash,
    ],
  );
  return user;
}

/** Signs in over HTTP. */
export async function signIn(app: TestApp, user: TestUser): Promise<SignedIn> {
  const { body } = await app.http
    .post('/api/v1/auth/login')
    .send({ email: user.email, password: user.password })
    .expect(200);
  return {
    ...user,
    accessToken: body.access_token,
    refreshToken: body.refresh_token,
    auth: { Authorization: `Bearer ${body.access_token}` },
  };
}

/** A user who is signed in. */
export const aSignedInUser = async (app: TestApp, options: UserOptions = {}): Promise<SignedIn> =>
  signIn(app, await aUser(app, options));

export const anAdmin = (app: TestApp): Promise<SignedIn> => aSignedInUser(app, { role: 'admin' });
