import type { Reporter } from './seams/host.ts';

/** An event that any emitter may have beside its own. */
export interface ErrorEvents {
  /** A listener threw, or its promise was rejected. It will be called again. */
  error(error: unknown, listener: string): void;
}

/** The listeners of an object's named events. `emit` calls them at once, in order of registration. */
export class Emitter<Events extends { [Name in keyof Events]: (...event: never[]) => void }> {
  readonly #listeners = new Map<keyof Events, Set<Events[keyof Events]>>();
  readonly #report: Reporter;

  /** `report` is told of a listener that throws; the others are called all the same. */
  constructor(report: Reporter) {
    this.#report = report;
  }

  on<Name extends keyof Events>(name: Name, listener: Events[Name]): Disposable {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // Each registration has a wrapper of its own: a function that is registered twice is called twice, and each
    // registration ends by itself.
    const entry = ((...event: Parameters<Events[Name]>) => listener(...event)) as Events[Name];
    listeners.add(entry);
    return { [Symbol.dispose]: () => void listeners.delete(entry) };
  }

  emit<Name extends keyof Events>(name: Name, ...event: Parameters<Events[Name]>): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(...event);
      } catch (error) {
        this.threw(`of the event "${String(name)}"`, error, name === 'error');
      }
    }
  }

  /**
   * Tells of a listener that threw: in a report, whose `heard` says whether anybody listens for `error`, and to those
   * listeners.
   * @param listener its name, for people
   * @param untold `error` is not emitted, because one of its own listeners threw
   */
  threw(listener: string, error: unknown, untold = false): void {
    const heard = !untold && (this.#listeners.get('error' as keyof Events)?.size ?? 0) > 0;
    const problem = error instanceof Error ? error.message : String(error);
    const message = `the listener ${listener} threw, and will be called again: ${problem}`;
    this.#report({ level: 'error', event: 'listener-threw', message, details: { listener, error, heard } });
    if (heard) (this as unknown as Emitter<ErrorEvents>).emit('error', error, listener);
  }
}
