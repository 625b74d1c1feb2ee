/**
 * Loads items in their order, with so many loads under way at once. Whoever stops taking ends it: what is under way then
 * is dropped.
 */
export async function* prefetch<T, R>(items: Iterable<T>, window: number, load: (item: T) => Promise<R>): AsyncGenerator<R> {
  const underWay: Promise<R>[] = [];
  for (const item of items) {
    const loading = load(item);
    // It is awaited in its turn; until then nobody would hear of a rejection.
    loading.catch(() => undefined);
    underWay.push(loading);
    if (underWay.length >= window) yield await underWay.shift()!;
  }
  for (const loading of underWay) yield await loading;
}

/**
 * The same, and opens what was loaded: the next one while the caller has one, so that two are open at most.
 */
export async function* prefetchOpened<T, S, R>(
  items: Iterable<T>,
  window: number,
  load: (item: T) => Promise<S>,
  open: (loaded: S) => Promise<R>,
): AsyncGenerator<R> {
  const left = items[Symbol.iterator]();
  const loading: Promise<S>[] = [];
  const opening: Promise<R>[] = [];
  const fill = (): void => {
    while (loading.length + opening.length < window) {
      const next = left.next();
      if (next.done === true) break;
      loading.push(handled(load(next.value)));
    }
    while (opening.length < 2 && loading.length > 0) opening.push(handled(loading.shift()!.then(open)));
  };
  for (fill(); opening.length > 0; fill()) yield await opening.shift()!;
}

/** It is awaited in its turn; until then nobody would hear of a rejection. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
