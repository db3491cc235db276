import { path } from '../http/path.js';
import type { CallOptions, Transport } from '../http/transport.js';
import { iterate } from '../pagination.js';
import type {
  ApiKey,
  CreateApiKeyInput,
  Filters,
  NewApiKey,
  Page,
  PublicUser,
  Query,
  RegisterInput,
  UpdateUserInput,
  User,
} from '../types.js';
import { Download } from '../uploads/download.js';

/** Accounts. */
export class Users {
  /** The keys of the signed-in user. */
  readonly apiKeys: ApiKeys;

  /** @internal */
  constructor(private readonly transport: Transport) {
    this.apiKeys = new ApiKeys(transport);
  }

  /** As `auth.register()`. While registration is closed only admins make accounts. */
  create(input: RegisterInput, options?: CallOptions): Promise<User> {
    return this.transport.json({ method: 'POST', path: '/api/v1/users', json: input, ...options });
  }

  /** Admins see everybody in full; others see the public view of active users. A key needs `users:read`. */
  list(query?: Query<'get_users'>, options?: CallOptions): Promise<Page<User | PublicUser>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/users', query, ...options });
  }

  /** All users whom `list()` shows. What is deleted meanwhile shifts items between pages: collect the ids first. */
  iterate(filters?: Filters<'get_users'>, options?: CallOptions): AsyncGenerator<User | PublicUser> {
    return iterate((page) => this.list({ ...filters, ...page }, options));
  }

  /** In full for the user and for admins, else the public view. */
  get(id: string, options?: CallOptions): Promise<User | PublicUser> {
    return this.transport.json({ method: 'GET', path: path`/api/v1/users/${id}`, ...options });
  }

  /** Changes what is given; `null` clears. A key needs `users:write`. */
  update(id: string, input: UpdateUserInput, options?: CallOptions): Promise<User> {
    return this.transport.json({ method: 'PATCH', path: path`/api/v1/users/${id}`, json: input, ...options });
  }

  /** Removes the account and everything that belongs to it. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: path`/api/v1/users/${id}`, ...options });
  }

  /** The signed-in user, with statistics. */
  me(options?: CallOptions): Promise<User> {
    return this.transport.json({ method: 'GET', path: '/api/v1/users/me', ...options });
  }

  /** Changes what is given; `null` clears. */
  updateMe(input: UpdateUserInput, options?: CallOptions): Promise<User> {
    return this.transport.json({ method: 'PATCH', path: '/api/v1/users/me', json: input, ...options });
  }

  /** Removes the own account, its files, sessions and keys, and forgets the tokens. */
  async deleteMe(password: string, options?: CallOptions): Promise<void> {
    // A second attempt would not find the account any more, and say that the token is bad.
    await this.transport.json({
      method: 'DELETE',
      path: '/api/v1/users/me',
      json: { password },
      isRepeatable: false,
      ...options,
    });
    await this.transport.session.signOut();
  }

  /** Everything that is kept about the user, as a ZIP archive: profile, sessions, keys, audit entries, files. */
  async exportMe(options?: CallOptions): Promise<Download> {
    const response = await this.transport.response({ method: 'GET', path: '/api/v1/users/me/export', ...options });
    return new Download(response, options?.signal);
  }
}

/** Keys by which programs act for the user. */
export class ApiKeys {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /** Makes a key, which is shown this once. Without `scopes` it may everything but `admin`. */
  create(input: CreateApiKeyInput, options?: CallOptions): Promise<NewApiKey> {
    return this.transport.json({ method: 'POST', path: '/api/v1/users/me/api-keys', json: input, ...options });
  }

  /** One page of keys, without the keys themselves. */
  list(query?: Query<'get_users_me_api_keys'>, options?: CallOptions): Promise<Page<ApiKey>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/users/me/api-keys', query, ...options });
  }

  /** All keys, without the keys themselves. What is deleted meanwhile shifts items between pages: collect the ids first. */
  iterate(filters?: Filters<'get_users_me_api_keys'>, options?: CallOptions): AsyncGenerator<ApiKey> {
    return iterate((page) => this.list({ ...filters, ...page }, options));
  }

  /** Revokes a key. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: path`/api/v1/users/me/api-keys/${id}`, ...options });
  }
}
