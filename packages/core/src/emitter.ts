import type { Reporter } from './seams/host.ts';

/** The listeners of an object's named events. They are called at once, in order of registration. */
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
    // A wrapper of its own: the same function registered twice is called twice, and each registration ends by itself.
    const entry = ((...event: Parameters<Events[Name]>) => listener(...event)) as Events[Name];
    listeners.add(entry);
    return { [Symbol.dispose]: () => void listeners.delete(entry) };
  }

  emit<Name extends keyof Events>(name: Name, ...event: Parameters<Events[Name]>): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        listener(...event);
      } catch (error) {
        this.#report({
          level: 'error',
          event: 'listener-threw',
          message: `a listener of the event "${String(name)}" threw: ${error instanceof Error ? error.message : String(error)}`,
          details: { error },
        });
      }
    }
  }
}
