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

/** Works on the next item while the caller has one. */
export async function* ahead<T, R>(items: AsyncIterable<T>, work: (item: T) => Promise<R>): AsyncGenerator<R> {
  let before: Promise<R> | undefined;
  for await (const item of items) {
    const next = work(item);
    next.catch(() => undefined);
    if (before !== undefined) yield await before;
    before = next;
  }
  if (before !== undefined) yield await before;
}
