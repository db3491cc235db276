import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { DomainEvents } from '../common/events/domain-events.js';
import { UploadCompletedEvent } from '../uploads/uploads.events.js';
import { UserResponse } from '../users/dto/user.response.js';
import { UserDisabledEvent, UserUpdatedEvent } from '../users/users.events.js';
import { roleChannel, userChannel } from './channels/channel-name.js';
import { Feeds } from './delivery/feeds.js';
import { Announcer } from './log/announcer.js';
import { type Publication, publishCall, publishWithin } from './log/publication.js';

interface OwnMessage {
  readonly channel: string;
  readonly data: object;
}

type EventClass<Event> = (abstract new (...args: never[]) => Event) & { readonly event: string };

/** What features tell is published in the transaction of the change: both are there, or neither. */
@Injectable()
export class OwnEvents {
  constructor(
    private readonly events: DomainEvents,
    private readonly feeds: Feeds,
    private readonly announcer: Announcer,
  ) {
    const { event } = UploadCompletedEvent;
    const completed = ({ file }: UploadCompletedEvent): OwnMessage => ({
      channel: userChannel(file.ownerId),
      data: {
        id: file.id,
        filename: file.filename,
        content_type: file.contentType,
        file_size: file.fileSize,
      },
    });
    events.alongside(UploadCompletedEvent, (upload) => publishCall(toPublication(event, completed(upload))));
    this.deliver(UploadCompletedEvent, completed);
    this.publish(UserUpdatedEvent, ({ account }) => ({
      channel: userChannel(account.id),
      data: UserResponse.from(account),
    }));
    // The user's own sockets are closed; it is the administrators who see it.
    this.publish(UserDisabledEvent, ({ userId }) => ({ channel: roleChannel('admin'), data: { id: userId } }));
  }

  private publish<Event extends object>(type: EventClass<Event>, toMessage: (event: Event) => OwnMessage): void {
    this.events.during(type, (event, tx) => publishWithin(tx, toPublication(type.event, toMessage(event))));
    this.deliver(type, toMessage);
  }

  private deliver<Event extends object>(type: EventClass<Event>, toMessage: (event: Event) => OwnMessage): void {
    this.events.on(type, (event) => {
      const { channel } = toMessage(event);
      this.feeds.check(channel);
      this.announcer.announce(channel);
    });
  }
}

const toPublication = (event: string, { channel, data }: OwnMessage): Publication => ({
  id: uuidv7(),
  channel,
  event,
  data: JSON.stringify(data),
  senderId: null,
  idempotencyKey: null,
});
