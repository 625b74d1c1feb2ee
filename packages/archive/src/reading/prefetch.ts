/** What may be under way at once: so many items, and of more than one no more than these bytes. */
export interface PrefetchBounds<T> {
  readonly items: number;
  readonly bytes: number;
  readonly bytesOf: (item: T) => number;
}

/**
 * Loads items in their order, some of them ahead. Whoever stops taking ends it: what is under way then is dropped.
 */
export async function* prefetch<T, R>(items: Iterable<T>, bounds: PrefetchBounds<T>, load: (item: T) => Promise<R>): AsyncGenerator<R> {
  const ahead = new Ahead(items, bounds, load);
  for (let next = ahead.take(); next !== undefined; next = ahead.take()) yield await next;
}

/**
 * The same, and opens what was loaded: the next one while the caller has one, so that two are open at most.
 */
export async function* prefetchOpened<T, S, R>(
  items: Iterable<T>,
  bounds: PrefetchBounds<T>,
  load: (item: T) => Promise<S>,
  open: (loaded: S) => Promise<R>,
): AsyncGenerator<R> {
  const ahead = new Ahead(items, bounds, load);
  const opened = (): Promise<R> | undefined => {
    const next = ahead.take();
    return next && handled(next.then(open));
  };
  let current = opened();
  while (current !== undefined) {
    const following = opened();
    yield await current;
    current = following;
  }
}

/** The loads that are under way, in the order of their items. */
class Ahead<T, S> {
  readonly #left: Iterator<T>;
  readonly #bounds: PrefetchBounds<T>;
  readonly #load: (item: T) => Promise<S>;
  readonly #underWay: { readonly bytes: number; readonly loading: Promise<S> }[] = [];
  /** Read, and not under way yet: it did not fit. */
  #waiting: T | undefined;
  #bytes = 0;

  constructor(items: Iterable<T>, bounds: PrefetchBounds<T>, load: (item: T) => Promise<S>) {
    this.#left = items[Symbol.iterator]();
    this.#bounds = bounds;
    this.#load = load;
  }

  /** The next one; it no longer counts towards the bounds. Undefined at the end. */
  take(): Promise<S> | undefined {
    this.#fill();
    const first = this.#underWay.shift();
    if (first === undefined) return undefined;
    this.#bytes -= first.bytes;
    this.#fill();
    return first.loading;
  }

  #fill(): void {
    while (this.#underWay.length < this.#bounds.items) {
      this.#waiting ??= this.#next();
      if (this.#waiting === undefined) return;
      const bytes = this.#bounds.bytesOf(this.#waiting);
      if (this.#underWay.length > 0 && this.#bytes + bytes > this.#bounds.bytes) return;
      this.#underWay.push({ bytes, loading: handled(this.#load(this.#waiting)) });
      this.#bytes += bytes;
      this.#waiting = undefined;
    }
  }

  #next(): T | undefined {
    const next = this.#left.next();
    return next.done === true ? undefined : next.value;
  }
}

/** It is awaited in its turn; until then nobody would hear of a rejection. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
