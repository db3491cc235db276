import { OperatorError } from '../common/errors/operator-error.js';

/** The command was not given what it takes; exit code 2. */
export class UsageError extends OperatorError {}
