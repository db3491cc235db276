import { AppError } from '../../common/errors/app-error.js';
import { TooManyRequestsError } from '../../common/errors/errors.js';

/** Expired, used, void or never issued: which of these is not told. */
export class InvalidOneTimeTokenError extends AppError {
  constructor() {
    super('malformed', 'invalid_one_time_token', 'This link is no longer valid; please ask for a new one');
  }
}

/** Each change sends mails to addresses that the user has chosen. */
export class TooManyEmailChangesError extends TooManyRequestsError {
  constructor(retryAfterSeconds: number) {
    super('The email address was changed too often', retryAfterSeconds, 'too_many_email_changes');
  }
}
