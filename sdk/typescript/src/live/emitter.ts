/** What the events of an emitter bring: their names, and the arguments of their listeners. */
export type EventMap<Events> = { [Name in keyof Events]: unknown[] };
/** Is called with what an event brings. */
export type Listener<Arguments extends unknown[]> = (...args: Arguments) => unknown;

/** Listeners by the name of the event. */
export class Emitter<Events extends EventMap<Events>> {
  private readonly listeners = new Map<keyof Events, Set<Listener<never>>>();

  /**
   * @returns a function that ends the listening
   * @throws TypeError for a listener that is no function
   */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    if (typeof listener !== 'function') throw new TypeError(`A listener of ${String(name)} is a function`);
    const known = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, known.add(listener));
    return () => void known.delete(listener);
  }

  listenersOf<Name extends keyof Events>(name: Name): Listener<Events[Name]>[] {
    return [...(this.listeners.get(name) ?? [])] as Listener<Events[Name]>[];
  }

  /** A listener that throws hinders nobody else; its error counts as uncaught. */
  emit<Name extends keyof Events>(name: Name, ...args: Events[Name]): void {
    for (const listener of this.listenersOf(name))
      try {
        listener(...args);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
  }
}
