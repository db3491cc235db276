import { AppError } from '../../common/errors/app-error.js';
import { ForbiddenError } from '../../common/errors/errors.js';
import { BrokenRuleError } from '../../common/errors/rule-error.js';

export class ApiKeyNotFoundError extends AppError {
  constructor() {
    super('not_found', 'api_key_not_found', 'API key not found');
  }
}

export class TooManyApiKeysError extends AppError {
  constructor(max: number) {
    super('conflict', 'too_many_api_keys', `An account has at most ${max} API keys; revoke one that is not needed`);
  }
}

/** The scope `admin` is for those who have the role. */
export class AdminScopeError extends ForbiddenError {
  constructor() {
    super('Only an administrator may give a key the scope admin', 'admin_required');
  }
}

export class KeyExpiryPastError extends BrokenRuleError {
  constructor() {
    super('expiry_in_the_past', 'expires_at', ['expires_at must be in the future']);
  }
}
