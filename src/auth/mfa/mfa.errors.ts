import { AppError } from '../../common/errors/app-error.js';
import { ForbiddenError } from '../../common/errors/errors.js';

/** What came after the right password is not a token of such a login, has expired, or was used. */
export class InvalidLoginTokenError extends AppError {
  constructor() {
    super('unauthenticated', 'invalid_mfa_token', 'The login has expired; please sign in again');
  }
}

/** While signing in. Wrong, used before, or of another time: which of these is not told. */
export class LoginCodeRefusedError extends AppError {
  constructor() {
    super('unauthenticated', 'wrong_code', 'The code is not correct');
  }
}

/** Of somebody who is signed in. */
export class WrongCodeError extends AppError {
  constructor() {
    super('malformed', 'wrong_code', 'The code is not correct');
  }
}

export class SecondFactorEnabledError extends AppError {
  constructor() {
    super('conflict', 'mfa_already_enabled', 'The account has a second factor; turn it off before setting up another');
  }
}

export class SecondFactorMissingError extends AppError {
  constructor() {
    super('conflict', 'mfa_not_enabled', 'The account has no second factor');
  }
}

export class SetupMissingError extends AppError {
  constructor() {
    super('conflict', 'mfa_setup_missing', 'There is no second factor to confirm; begin with its setup');
  }
}

/** What asks an admin's password and code for their own account must not be had without them. */
export class OwnSecondFactorError extends ForbiddenError {
  constructor() {
    super('Turn off your own second factor with POST /api/v1/auth/mfa/disable', 'own_second_factor');
  }
}
