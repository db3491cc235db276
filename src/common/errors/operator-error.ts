/** An error whose message is for the operator at the command line; of others the stack is of use. */
export class OperatorError extends Error {}
