/** Does work on items, several at a time, and yields the results in the order of the items. */
export async function* readAhead<Item, Result>(
  items: Iterable<Item>,
  window: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<readonly [Item, Result]> {
  const under: { readonly item: Item; readonly result: Promise<Result> }[] = [];
  for (const item of items) {
    const result = work(item);
    // Whoever reads on meets the error; after an earlier one nobody does.
    result.catch(() => undefined);
    under.push({ item, result });
    if (under.length < window) continue;
    const first = under.shift()!;
    yield [first.item, await first.result];
  }
  for (const { item, result } of under) yield [item, await result];
}
