import { AppError } from '../common/errors/app-error.js';

export class UserNotFoundError extends AppError {
  constructor() {
    super('not_found', 'user_not_found', 'User not found');
  }
}

export class EmailTakenError extends AppError {
  constructor() {
    super('conflict', 'email_taken', 'Email already exists', { fieldErrors: { email: ['Email already exists'] } });
  }
}

export class UsernameTakenError extends AppError {
  constructor() {
    super('conflict', 'username_taken', 'Username already exists', {
      fieldErrors: { username: ['Username already exists'] },
    });
  }
}

export class LastAdminError extends AppError {
  constructor() {
    super('conflict', 'last_admin', 'The last active admin cannot be removed');
  }
}

export class RegistrationClosedError extends AppError {
  constructor() {
    super('forbidden', 'registration_closed', 'Registration is closed; an administrator creates accounts');
  }
}

export class AdminOnlyAccountError extends AppError {
  constructor() {
    super('forbidden', 'admin_required', 'Only an administrator creates administrators');
  }
}

export class WrongPasswordError extends AppError {
  constructor() {
    super('malformed', 'wrong_password', 'Current password is incorrect');
  }
}

export class AccountLockedError extends AppError {
  constructor(retryAfterSeconds: number) {
    super('rate_limited', 'too_many_attempts', 'Too many login attempts. Please try again later.', {
      retryAfterSeconds,
    });
  }
}
