import { AuthenticationError, MfaRequiredError } from '../errors.js';
import { path } from '../http/path.js';
import type { CallOptions, Transport } from '../http/transport.js';
import { iterate } from '../pagination.js';
import type { SessionListener } from '../session/session.js';
import type {
  ChangePasswordInput,
  Filters,
  LoginInput,
  LoginResult,
  Message,
  MfaConfirmInput,
  MfaProof,
  MfaSetup,
  MfaSetupInput,
  MfaStatus,
  MfaVerifyInput,
  Page,
  Query,
  RecoveryCodes,
  RegisterInput,
  ResetPasswordInput,
  Session,
  User,
} from '../types.js';

type LoginAnswer = LoginResult | { mfa_required: true; mfa_token: string; expires_in: number };

/** Signing up, in and out. */
export class Auth {
  /** The second factor of the signed-in user. */
  readonly mfa: Mfa;
  /** The devices on which the user is signed in. */
  readonly sessions: Sessions;

  /** @internal */
  constructor(private readonly transport: Transport) {
    this.mfa = new Mfa(transport);
    this.sessions = new Sessions(transport);
  }

  /**
   * Makes an account. It does not sign in.
   *
   * @throws ValidationError, ConflictError with `fieldErrors`
   */
  register(input: RegisterInput, options?: CallOptions): Promise<User> {
    return this.transport.json({ method: 'POST', path: '/api/v1/auth/register', json: input, ...options });
  }

  /**
   * Signs in by `password` and `email` or `username`, and keeps the tokens.
   *
   * @throws AuthenticationError when the password or the name is wrong
   * @throws MfaRequiredError when the account has a second factor; go on with `auth.mfa.verify()`
   * @throws RateLimitError after too many attempts
   */
  async login(input: LoginInput, options?: CallOptions): Promise<LoginResult> {
    assertKeepsTokens(this.transport);
    const answer = await this.transport.json<LoginAnswer>({
      method: 'POST',
      path: '/api/v1/auth/login',
      json: input,
      isAuthenticated: false,
      ...options,
    });
    if ('mfa_required' in answer) throw new MfaRequiredError(answer.mfa_token, answer.expires_in);
    await this.transport.session.signIn(answer);
    return answer;
  }

  /** Renews the tokens now. Calls do this by themselves when it is time. */
  async refresh(): Promise<void> {
    await this.transport.session.renew();
  }

  /** Whether tokens are kept; the server may have ended the session meanwhile. */
  async isSignedIn(): Promise<boolean> {
    return (await this.transport.session.current()) !== null;
  }

  /** Calls back after a login, a refresh, and the end of the session. */
  onChange(listener: SessionListener): () => void {
    return this.transport.session.onChange(listener);
  }

  /** Forgets the tokens at once, and then ends the session at the server. Throws when the server cannot be told. */
  async logout(options?: CallOptions): Promise<void> {
    await this.endSession('/api/v1/auth/logout', options);
  }

  /** As `logout()`, for all sessions of the user. */
  async logoutAll(options?: CallOptions): Promise<void> {
    await this.endSession('/api/v1/auth/logout-all', options);
  }

  /** Changes the password. The user's other sessions end. */
  changePassword(input: ChangePasswordInput, options?: CallOptions): Promise<Message> {
    return this.transport.json({ method: 'POST', path: '/api/v1/auth/change-password', json: input, ...options });
  }

  /** Has a link for a new password sent. The answer does not tell whether the address is known. */
  forgotPassword(email: string, options?: CallOptions): Promise<Message> {
    return this.post('/api/v1/auth/forgot-password', { email }, options);
  }

  /** Sets a new password by the token of the mail. All sessions end. */
  resetPassword(input: ResetPasswordInput, options?: CallOptions): Promise<Message> {
    return this.post('/api/v1/auth/reset-password', input, options);
  }

  /** Confirms the address by the token of the mail. */
  verifyEmail(token: string, options?: CallOptions): Promise<Message> {
    return this.post('/api/v1/auth/verify-email', { token }, options);
  }

  /** Has the verification mail sent again: to the signed-in user, or to `email`. */
  resendVerification(email?: string, options?: CallOptions): Promise<Message> {
    return this.transport.json({
      method: 'POST',
      path: '/api/v1/auth/resend-verification',
      json: email === undefined ? {} : { email },
      isAuthenticated: email === undefined,
      ...options,
    });
  }

  /** Takes a change of the address back by the token of the mail that told the old address of it. */
  undoEmailChange(token: string, options?: CallOptions): Promise<Message> {
    return this.post('/api/v1/auth/undo-email-change', { token }, options);
  }

  private post<T>(route: string, json: unknown, options?: CallOptions): Promise<T> {
    return this.transport.json({ method: 'POST', path: route, json, isAuthenticated: false, ...options });
  }

  private async endSession(route: string, options?: CallOptions): Promise<void> {
    assertKeepsTokens(this.transport);
    // First of all here, so that nothing goes out as the user while the server is being told.
    const { tokens, storageError } = await this.transport.session.signOut();
    try {
      if (tokens) await this.transport.as(tokens).json({ method: 'POST', path: route, isRepeatable: true, ...options });
    } catch (error) {
      // Ended already, which is what was wanted.
      if (!(error instanceof AuthenticationError)) throw error;
    }
    if (storageError !== undefined) throw storageError;
  }
}

/** Time-based codes (TOTP) and recovery codes. */
export class Mfa {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /** Whether there is a second factor, has to be one, and how many recovery codes are left. */
  status(options?: CallOptions): Promise<MfaStatus> {
    return this.transport.json({ method: 'GET', path: '/api/v1/auth/mfa', ...options });
  }

  /** Begins the set-up: the secret as an otpauth URI and as a QR code (SVG). It counts once `confirm()` has proved a code. */
  setup(input: MfaSetupInput, options?: CallOptions): Promise<MfaSetup> {
    return this.transport.json({ method: 'POST', path: '/api/v1/auth/mfa/setup', json: input, ...options });
  }

  /** Ends the set-up. The recovery codes are shown this once. */
  confirm(input: MfaConfirmInput, options?: CallOptions): Promise<RecoveryCodes> {
    return this.transport.json({ method: 'POST', path: '/api/v1/auth/mfa/confirm', json: input, ...options });
  }

  /**
   * The second step of a login: `mfa_token` from the MfaRequiredError, and a `code` or a `recovery_code`. Keeps the tokens.
   *
   * @throws AuthenticationError when the code is wrong
   */
  async verify(input: MfaVerifyInput, options?: CallOptions): Promise<LoginResult> {
    assertKeepsTokens(this.transport);
    const result = await this.transport.json<LoginResult>({
      method: 'POST',
      path: '/api/v1/auth/mfa/verify',
      json: input,
      isAuthenticated: false,
      ...options,
    });
    await this.transport.session.signIn(result);
    return result;
  }

  /** New recovery codes; the old ones are worth nothing any more. */
  renewRecoveryCodes(input: MfaProof, options?: CallOptions): Promise<RecoveryCodes> {
    return this.transport.json({ method: 'POST', path: '/api/v1/auth/mfa/recovery-codes', json: input, ...options });
  }

  /** Takes the second factor off, for the password and a code or a recovery code. */
  async disable(input: MfaProof, options?: CallOptions): Promise<void> {
    await this.transport.json({ method: 'POST', path: '/api/v1/auth/mfa/disable', json: input, ...options });
  }
}

/** The sessions of the signed-in user. */
export class Sessions {
  /** @internal */
  constructor(private readonly transport: Transport) {}

  /** One page of sessions; `is_current` marks the one that asks. */
  list(query?: Query<'get_auth_sessions'>, options?: CallOptions): Promise<Page<Session>> {
    return this.transport.json({ method: 'GET', path: '/api/v1/auth/sessions', query, ...options });
  }

  /** All sessions. What is deleted meanwhile shifts items between pages: collect the ids first. */
  iterate(filters?: Filters<'get_auth_sessions'>, options?: CallOptions): AsyncGenerator<Session> {
    return iterate((page) => this.list({ ...filters, ...page }, options));
  }

  /** Signs out one device. */
  async end(id: string, options?: CallOptions): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: path`/api/v1/auth/sessions/${id}`, ...options });
  }
}

function assertKeepsTokens({ usesApiKey }: Transport): void {
  if (usesApiKey) throw new Error('This client acts by an API key; for sessions make another one without apiKey');
}
