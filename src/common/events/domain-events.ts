import { Global, Injectable, Logger, Module } from '@nestjs/common';

type EventClass<Event> = abstract new (...args: never[]) => Event;
type Listener<Event> = (event: Event) => unknown;

/**
 * What features tell each other without knowing each other. Events are emitted after the commit of what they tell, and whoever listens
 * cannot fail the request that it happened in.
 */
@Injectable()
export class DomainEvents {
  private readonly logger = new Logger(DomainEvents.name);
  private readonly listeners = new Map<unknown, Listener<never>[]>();

  on<Event extends object>(type: EventClass<Event>, listener: Listener<Event>): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }

  emit(event: object): void {
    for (const listener of this.listeners.get(event.constructor) ?? [])
      void this.tell(listener as Listener<object>, event);
  }

  private async tell(listener: Listener<object>, event: object): Promise<void> {
    try {
      await listener(event);
    } catch (error) {
      this.logger.error(
        `A listener of ${event.constructor.name} failed`,
        error instanceof Error ? error.stack : String(error),
      );
    }
  }
}

@Global()
@Module({ providers: [DomainEvents], exports: [DomainEvents] })
export class EventsModule {}
