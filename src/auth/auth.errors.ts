import { AppError } from '../common/errors/app-error.js';

/** Unknown name and wrong password alike. */
export class LoginFailedError extends AppError {
  constructor() {
    super('unauthenticated', 'login_failed', 'Invalid username or password');
  }
}

/** Told only to someone who has the password. */
export class AccountDisabledError extends AppError {
  constructor() {
    super('forbidden', 'account_disabled', 'This account is disabled');
  }
}

export class InvalidRefreshTokenError extends AppError {
  constructor() {
    super('unauthenticated', 'invalid_refresh_token', 'Invalid refresh token');
  }
}

export class SessionNotFoundError extends AppError {
  constructor() {
    super('not_found', 'session_not_found', 'Session not found');
  }
}
