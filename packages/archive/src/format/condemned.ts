import type { CondemnedObject } from './manifest.ts';
import { TAIL_PREFIX, tailKey } from './object-keys.ts';

// An archive that grows by an object a second condemns 86,400 of a tail a day. So those that follow one another are one
// entry, in a manifest and in memory.

/** How many objects an entry stands for. */
export function countOf({ numbers }: CondemnedObject): number {
  return numbers === undefined ? 1 : numbers[1] - numbers[0] + 1;
}

/** Each object of an entry. The bytes of a range are shared out: they tell how much goes, and nothing else. */
export function* objectsOf(entry: CondemnedObject): Iterable<CondemnedObject> {
  const { path, bytes, since, numbers } = entry;
  if (numbers === undefined) return yield entry;
  const share = Math.floor(bytes / countOf(entry));
  for (let number = numbers[0]; number <= numbers[1]; number++) yield { path: tailKey(path, number), bytes: share, since };
}

/** The same objects in as few entries as possible. */
export function compacted(condemned: readonly CondemnedObject[]): CondemnedObject[] {
  const entries: CondemnedObject[] = [];
  for (const object of condemned) {
    const range = rangeOf(object);
    const last = entries.at(-1);
    if (range === undefined) entries.push(object);
    else if (
      last?.numbers !== undefined &&
      last.path === range.path &&
      last.since === range.since &&
      last.numbers[1] === range.numbers[0] - 1
    ) {
      entries[entries.length - 1] = { ...last, bytes: last.bytes + range.bytes, numbers: [last.numbers[0], range.numbers[1]] };
    } else entries.push(range);
  }
  return entries;
}

/** The entries without some objects. */
export function withoutObjects(condemned: readonly CondemnedObject[], gone: ReadonlySet<string>): CondemnedObject[] {
  const numbers = new Map<string, Set<number>>();
  for (const key of gone) {
    const place = tailPlace(key);
    if (place === undefined) continue;
    const known = numbers.get(place.path);
    if (known === undefined) numbers.set(place.path, new Set([place.number]));
    else known.add(place.number);
  }
  return condemned.flatMap(entry => {
    if (entry.numbers === undefined) return gone.has(entry.path) ? [] : [entry];
    const those = numbers.get(entry.path);
    const [from, to] = entry.numbers;
    if (those === undefined || ![...those].some(number => number >= from && number <= to)) return [entry];
    return compacted([...objectsOf(entry)].filter((_, index) => !those.has(from + index)));
  });
}

/** Tells of a key whether it is condemned. */
export class CondemnedPaths {
  readonly #single: ReadonlySet<string>;
  /** By the path of a tail, in the order of the numbers; they don't touch. */
  readonly #ranges = new Map<string, [from: number, to: number][]>();

  constructor(condemned: readonly CondemnedObject[]) {
    const entries = compacted(condemned);
    this.#single = new Set(entries.filter(({ numbers }) => numbers === undefined).map(({ path }) => path));
    const ranges = entries.flatMap(({ path, numbers }) => (numbers === undefined ? [] : [{ path, from: numbers[0], to: numbers[1] }]));
    for (const { path, from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
      const known = this.#ranges.get(path);
      const last = known?.at(-1);
      if (known === undefined) this.#ranges.set(path, [[from, to]]);
      else if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
      else known.push([from, to]);
    }
  }

  has(key: string): boolean {
    if (this.#single.has(key)) return true;
    const place = tailPlace(key);
    return place !== undefined && (this.#ranges.get(place.path)?.some(([from, to]) => from <= place.number && place.number <= to) ?? false);
  }
}

type CondemnedRange = CondemnedObject & { readonly numbers: readonly [from: number, to: number] };

/** An object of a tail as a range; undefined for any other. */
function rangeOf(object: CondemnedObject): CondemnedRange | undefined {
  if (object.numbers !== undefined) return object as CondemnedRange;
  const place = tailPlace(object.path);
  return place === undefined
    ? undefined
    : { path: place.path, bytes: object.bytes, since: object.since, numbers: [place.number, place.number] };
}

function tailPlace(key: string): { readonly path: string; readonly number: number } | undefined {
  if (!key.startsWith(TAIL_PREFIX)) return undefined;
  const slash = key.lastIndexOf('/');
  const [path, number] = [key.slice(0, slash), Number(key.slice(slash + 1))];
  return tailKey(path, number) === key ? { path, number } : undefined;
}
