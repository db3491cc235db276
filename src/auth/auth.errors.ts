import { AppError } from '../common/errors/app-error.js';
import { ForbiddenError } from '../common/errors/errors.js';

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

/** The settings ask administrators for a second factor, and this one has none yet. */
export class SecondFactorRequiredError extends ForbiddenError {
  constructor() {
    super('Administrators need a second factor here; set it up with POST /api/v1/auth/mfa/setup', 'mfa_setup_required');
  }
}
