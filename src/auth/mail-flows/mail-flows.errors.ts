import { AppError } from '../../common/errors/app-error.js';

/** Expired, used, void or never issued: which of these is not told. */
export class InvalidOneTimeTokenError extends AppError {
  constructor(advice = 'please ask for a new one') {
    super('malformed', 'invalid_one_time_token', `This link is no longer valid; ${advice}`);
  }
}

/** Nobody can ask for another link to undo a change. */
export class InvalidUndoTokenError extends InvalidOneTimeTokenError {
  constructor() {
    super('if the account is not yours any more, tell the operator of the server');
  }
}

/** Each change sends mails to addresses that the user has chosen. */
export class TooManyEmailChangesError extends AppError {
  constructor(retryAfterSeconds: number) {
    super('rate_limited', 'too_many_email_changes', 'The email address was changed too often', { retryAfterSeconds });
  }
}
