import { Global, Injectable, Logger, Module } from '@nestjs/common';
import type { EntityManager } from 'typeorm';

type EventClass<Event> = abstract new (...args: never[]) => Event;
type Listener<Event> = (event: Event) => unknown;
type Recorder<Event> = (event: Event, tx: EntityManager) => Promise<void>;

/** A call of a function of the database. */
export interface DatabaseCall {
  readonly name: string;
  readonly values: readonly unknown[];
}

/**
 * What features tell each other without knowing each other. Events are emitted after the commit of what they tell, and whoever listens
 * cannot fail the request that it happened in. Who has to write something together with the change listens `during` it.
 */
@Injectable()
export class DomainEvents {
  private readonly logger = new Logger(DomainEvents.name);
  private readonly listeners = new Map<unknown, Listener<never>[]>();
  private readonly recorders = new Map<unknown, Recorder<never>[]>();
  private readonly companions = new Map<unknown, (event: never) => DatabaseCall>();

  on<Event extends object>(type: EventClass<Event>, listener: Listener<Event>): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener]);
  }

  /**
   * Listens in the transaction of the change that an event tells of: what it writes commits or rolls back with the change; if it throws,
   * the change fails. A query that has failed must throw: PostgreSQL commits nothing after it, and says so to nobody.
   */
  during<Event extends object>(type: EventClass<Event>, listener: Recorder<Event>): void {
    this.recorders.set(type, [...(this.recorders.get(type) ?? []), listener]);
  }

  /**
   * The same for a change that is one statement and made very often: the call becomes a part of it, which spares a transaction of
   * several. For those events whose emitter asks for it (`companionOf()`).
   */
  alongside<Event extends object>(type: EventClass<Event>, toCall: (event: Event) => DatabaseCall): void {
    this.companions.set(type, toCall);
  }

  companionOf(event: object): DatabaseCall | null {
    return (this.companions.get(event.constructor) as ((event: object) => DatabaseCall) | undefined)?.(event) ?? null;
  }

  /** Whether anybody listens `during` it; otherwise a change of one statement needs no transaction around it. */
  isRecorded(type: EventClass<object>): boolean {
    return this.recorders.has(type);
  }

  /** Tells those who write in the same transaction, as its last step: they lock rows of their own. `emit()` follows after the commit. */
  async record(tx: EntityManager, event: object): Promise<void> {
    for (const listener of this.recorders.get(event.constructor) ?? []) await (listener as Recorder<object>)(event, tx);
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
