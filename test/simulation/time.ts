/** Something that will happen at a moment of virtual time. */
interface Event {
  readonly atMs: number;
  /** Events of one moment happen in the order in which they were planned. */
  readonly order: number;
  /** Undefined once it was cancelled. */
  run: (() => void) | undefined;
}

/** What `process._tickCallback` does is not in Node's types: it runs all that is queued for this turn. */
const { _tickCallback: drainQueues } = process as unknown as { readonly _tickCallback: () => void };

/** More events than any history needs: beyond, two parts call each other without end while no time passes. */
const EVENT_LIMIT = 2_000_000;

/**
 * Virtual time, and the order of all that happens.
 *
 * A run is one synchronous call: an event is taken from the queue, then every promise is settled that can be without
 * another event, at once and without a turn of the real event loop. So nothing outside can come between, the same seed
 * gives the same run, and thousands of histories fit into a minute. It works only outside of a promise's reaction
 * (`synchronously`), and only if nothing within waits for a real timer or file.
 */
export class VirtualTime {
  #nowMs = 0;
  /** A binary heap: each event is before the two at 2 × its index + 1 and + 2. */
  readonly #events: Event[] = [];
  #planned = 0;
  #happened = 0;

  /** Milliseconds since the run began, with fractions. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many events have happened. */
  get happened(): number {
    return this.#happened;
  }

  after(delayMs: number, run: () => void): Disposable {
    const event: Event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#planned++, run };
    this.#push(event);
    return { [Symbol.dispose]: () => void (event.run = undefined) };
  }

  /** Lets so much time pass. */
  pass(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    drainQueues();
    while (this.#next(endMs)) continue;
    this.#nowMs = endMs;
  }

  /** Lets time pass until `condition` holds, `withinMs` at most. @returns whether it holds */
  until(condition: () => boolean, withinMs: number): boolean {
    const endMs = this.#nowMs + withinMs;
    drainQueues();
    while (!condition()) {
      if (this.#next(endMs)) continue;
      this.#nowMs = endMs;
      return condition();
    }
    return true;
  }

  #next(endMs: number): boolean {
    const event = this.#events[0];
    if (event === undefined || event.atMs > endMs) return false;
    this.#pop();
    if (event.run === undefined) return true;
    if (++this.#happened > EVENT_LIMIT) throw new Error(`more than ${EVENT_LIMIT} events in one history: something goes round in circles`);
    this.#nowMs = Math.max(this.#nowMs, event.atMs);
    event.run();
    drainQueues();
    return true;
  }

  #push(event: Event): void {
    const events = this.#events;
    let at = events.length;
    events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(events[parent]!, event)) break;
      events[at] = events[parent]!;
      at = parent;
    }
    events[at] = event;
  }

  #pop(): void {
    const events = this.#events;
    const last = events.pop()!;
    if (events.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= events.length) break;
      if (child + 1 < events.length && isBefore(events[child + 1]!, events[child]!)) child++;
      if (isBefore(last, events[child]!)) break;
      events[at] = events[child]!;
      at = child;
    }
    events[at] = last;
  }
}

/** Calls `run` in a turn of its own, where `VirtualTime` can settle promises. */
export function synchronously<T>(run: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
