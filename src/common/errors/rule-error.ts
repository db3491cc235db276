import { AppError } from './app-error.js';

/** A request of the right shape that breaks a rule: 422 with a sentence, the field's broken rules in `field_errors`. */
export class BrokenRuleError extends AppError {
  constructor(code: string, field: string, rules: string[]) {
    super('invalid', code, rules[0], { fieldErrors: { [field]: rules } });
  }
}

export class WeakPasswordError extends BrokenRuleError {
  constructor(field: string, rules: string[]) {
    super('weak_password', field, rules);
  }
}

export class PasswordsDifferError extends BrokenRuleError {
  constructor() {
    super('passwords_differ', 'confirm_password', ['Passwords do not match']);
  }
}
