import type { CondemnedObject } from './manifest.ts';
import { TAIL_PREFIX, tailKey } from './object-keys.ts';

/** A condemned object as a manifest is stored, or those of a tail from one number to another. */
export interface StoredCondemned extends CondemnedObject {
  /** The first and the last number: `path` is a tail's then, and `bytes` those of all together. */
  readonly numbers?: readonly [from: number, to: number];
}

/** An archive that grows by an object a second condemns 86,400 a day: one entry for many that follow one another. */
export function storedCondemned(condemned: readonly CondemnedObject[]): StoredCondemned[] {
  const stored: StoredCondemned[] = [];
  for (const object of condemned) {
    const slash = object.path.lastIndexOf('/');
    const [path, number] = [object.path.slice(0, slash), Number(object.path.slice(slash + 1))];
    const last = stored.at(-1);
    if (!object.path.startsWith(TAIL_PREFIX) || tailKey(path, number) !== object.path) stored.push(object);
    else if (last?.numbers !== undefined && last.path === path && last.since === object.since && last.numbers[1] === number - 1) {
      stored[stored.length - 1] = { ...last, bytes: last.bytes + object.bytes, numbers: [last.numbers[0], number] };
    } else stored.push({ path, bytes: object.bytes, since: object.since, numbers: [number, number] });
  }
  return stored;
}

/** The bytes of a range are shared out among its objects: they tell how much goes, and nothing else. */
export function condemnedObjects(stored: readonly StoredCondemned[]): CondemnedObject[] {
  return stored.flatMap(({ path, bytes, since, numbers }) => {
    if (numbers === undefined) return [{ path, bytes, since }];
    const [from, to] = numbers;
    const count = to - from + 1;
    const share = Math.floor(bytes / count);
    return Array.from({ length: count }, (_, index) => ({
      path: tailKey(path, from + index),
      bytes: index === 0 ? bytes - share * (count - 1) : share,
      since,
    }));
  });
}
