import { AppError } from '../common/errors/app-error.js';
import { ForbiddenError, TooManyRequestsError } from '../common/errors/errors.js';
import { BrokenRuleError } from '../common/errors/rule-error.js';

export class InvalidChannelError extends BrokenRuleError {
  constructor(field = 'channel') {
    super('invalid_channel', field, [
      'A channel name has 1 to 128 of A-Z a-z 0-9 _ . : -; private-user. is followed by an id, private-role. by a role',
    ]);
  }
}

/** Also for a private channel that does not exist: a guess is told nothing. */
export class ChannelForbiddenError extends ForbiddenError {
  constructor() {
    super('You may not read this channel', 'channel_forbidden');
  }
}

export class PublishForbiddenError extends ForbiddenError {
  constructor() {
    super('You may not publish to this channel', 'publish_forbidden');
  }
}

export class ChannelNotFoundError extends AppError {
  constructor() {
    super('not_found', 'channel_not_found', 'Channel not found');
  }
}

/** Members are added to `private-<name>` channels alone; who reads the others follows from their names. */
export class NoMembershipError extends BrokenRuleError {
  constructor() {
    super('channel_without_members', 'name', ['Only private-<name> channels have members']);
  }
}

export class MessageTooLargeError extends AppError {
  constructor(maxBytes: number) {
    super('too_large', 'message_too_large', `data is larger than ${maxBytes} bytes`, {
      fieldErrors: { data: [`data is larger than ${maxBytes} bytes`] },
    });
  }
}

/** The same key with another content. */
export class IdempotencyConflictError extends AppError {
  constructor() {
    super('conflict', 'idempotency_conflict', 'The idempotency key was used for another message', {
      fieldErrors: { idempotency_key: ['was used for another message'] },
    });
  }
}

export class VolatileKeyError extends BrokenRuleError {
  constructor() {
    super('idempotency_not_possible', 'idempotency_key', [
      'A message that is not durable cannot have an idempotency key',
    ]);
  }
}

export class TooManySubscriptionsError extends AppError {
  constructor(max: number) {
    super('conflict', 'too_many_subscriptions', `A connection may subscribe to ${max} channels`);
  }
}

export class TooManyConnectionsError extends TooManyRequestsError {
  constructor(max: number) {
    super(`A user may have ${max} live connections`, 5, 'too_many_connections');
  }
}

export class UnknownEventError extends AppError {
  constructor() {
    super('not_found', 'unknown_event', 'There is no such event');
  }
}
