import { Injectable } from '@nestjs/common';
import { DomainEvents } from '../common/events/domain-events.js';
import { UserDisabledEvent } from '../users/users.events.js';
import { ApiKeysService } from './keys/api-keys.service.js';
import { SessionsService } from './sessions/sessions.service.js';

/** Who is disabled loses sessions and keys for good, in the same transaction: an account that is enabled again begins anew. */
@Injectable()
export class AccessEndings {
  constructor(events: DomainEvents, sessions: SessionsService, keys: ApiKeysService) {
    events.during(UserDisabledEvent, async ({ userId }, tx) => {
      await sessions.endAllOf(tx, userId);
      await keys.revokeAllOf(tx, userId);
    });
  }
}
