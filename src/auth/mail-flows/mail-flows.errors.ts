import { AppError } from '../../common/errors/app-error.js';

/** Expired, used, void or never issued: which of these is not told. */
export class InvalidOneTimeTokenError extends AppError {
  constructor() {
    super('malformed', 'invalid_one_time_token', 'This link is no longer valid; please ask for a new one');
  }
}

/** Each change sends mails to addresses that the user has chosen. */
export class TooManyEmailChangesError extends AppError {
  constructor(retryAfterSeconds: number) {
    super('rate_limited', 'too_many_email_changes', 'The email address was changed too often', { retryAfterSeconds });
  }
}
