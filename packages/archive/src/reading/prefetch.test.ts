import { describe, expect, it } from 'vitest';
import { prefetch, prefetchOpened } from './prefetch.ts';

interface Item {
  readonly name: number;
  readonly bytes: number;
}

const items = (...sizes: number[]): Item[] => sizes.map((bytes, name) => ({ name, bytes }));
const bounds = (most: number, bytes = Infinity) => ({ items: most, bytes, bytesOf: (item: Item) => item.bytes });

/** Loads that end when they are told to, in any order. */
class Loads {
  readonly begun: number[] = [];
  readonly #ends = new Map<number, PromiseWithResolvers<number>>();

  readonly load = ({ name }: Item): Promise<number> => {
    this.begun.push(name);
    return this.#of(name).promise;
  };

  end(...names: number[]): void {
    for (const name of names) this.#of(name).resolve(name);
  }

  fail(name: number): void {
    this.#of(name).reject(new Error(`load ${name}`));
  }

  #of(name: number): PromiseWithResolvers<number> {
    const known = this.#ends.get(name) ?? Promise.withResolvers<number>();
    this.#ends.set(name, known);
    return known;
  }
}

describe('prefetch', () => {
  it('gives the items in their order, whichever is loaded first', async () => {
    const loads = new Loads();
    loads.end(2, 1, 0);
    const found: number[] = [];
    for await (const name of prefetch(items(1, 1, 1), bounds(2), loads.load)) found.push(name);
    expect(found).toEqual([0, 1, 2]);
  });

  it('loads no more ahead than its bounds say, by number and by bytes', async () => {
    const loads = new Loads();
    loads.end(0, 1, 2, 3, 4);
    const byNumber = prefetch(items(1, 1, 1, 1, 1), bounds(2), loads.load);
    await byNumber.next();
    expect(loads.begun).toEqual([0, 1, 2]);
    const large = new Loads();
    large.end(0, 1, 2, 3);
    const byBytes = prefetch(items(3, 4, 20, 1), bounds(9, 8), large.load);
    await byBytes.next();
    expect(large.begun).toEqual([0, 1]);
    await byBytes.next();
    expect(large.begun).toEqual([0, 1, 2]);
    await byBytes.next();
    expect(large.begun).toEqual([0, 1, 2, 3]);
    expect(await byBytes.next()).toEqual({ done: false, value: 3 });
    expect((await byBytes.next()).done).toBe(true);
  });

  it('throws what a load threw in its turn, and not before', async () => {
    const loads = new Loads();
    loads.fail(1);
    loads.end(0);
    const all = prefetch(items(1, 1), bounds(4), loads.load);
    expect(await all.next()).toEqual({ done: false, value: 0 });
    await expect(all.next()).rejects.toThrow('load 1');
  });

  it('opens the next one while the caller has one, and no third', async () => {
    const loads = new Loads();
    loads.end(0, 1, 2, 3);
    const opened: number[] = [];
    const open = async (name: number) => {
      opened.push(name);
      return name * 10;
    };
    const all = prefetchOpened(items(1, 1, 1, 1), bounds(4), loads.load, open);
    expect(await all.next()).toEqual({ done: false, value: 0 });
    await Promise.resolve();
    expect(opened).toEqual([0, 1]);
    const rest: number[] = [];
    for await (const value of all) rest.push(value);
    expect(rest).toEqual([10, 20, 30]);
  });
});
