import { Injectable } from '@nestjs/common';
import { ForbiddenError, InvalidCredentialsError } from '../common/errors/errors.js';
import { CallerActsEvent } from '../common/events/caller-acts.js';
import { DomainEvents } from '../common/events/domain-events.js';
import { SessionsService } from './sessions/sessions.service.js';

/** Looks once more at what a caller was let in by: see `CallerActsEvent`. */
@Injectable()
export class StandingCheck {
  constructor(events: DomainEvents, sessions: SessionsService) {
    events.during(CallerActsEvent, async ({ caller }, tx) => {
      const id = caller.apiKey?.id ?? caller.sessionId ?? '';
      const role = (await sessions.rolesOf([id], tx)).get(id);
      if (role === undefined) throw new InvalidCredentialsError();
      if (caller.role === 'admin' && role !== 'admin') throw new ForbiddenError();
    });
  }
}
