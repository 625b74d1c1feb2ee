import type { ListedObject, Target } from '@evertree/archive';
import { afterEach, describe, expect, test } from 'vitest';

/** What an implementation supports, as it declares. Only these flags decide which cases are left out. */
export interface TargetSupports {
  /** `create` and `replace` refuse what their conditions forbid. */
  readonly conditions: boolean;
  /** What was written is there for another client, opened later. */
  readonly durable: boolean;
}

/** A place for one archive, empty. */
export interface TargetPlace extends AsyncDisposable {
  /** A client of it; each is disposed of after the case. */
  readonly open: () => Promise<Target>;
}

const OBJECTS_OF_TWO_PAGES = 1_005;

/** The laws of the archive's Target, for any place. */
export function testTarget(name: string, make: () => Promise<TargetPlace>, supports: TargetSupports): void {
  const undo: AsyncDisposable[] = [];

  async function prepare(): Promise<{ target: Target; again: () => Promise<Target> }> {
    const place = await make();
    undo.unshift(place);
    const again = async () => {
      const target = await place.open();
      undo.unshift(target);
      return target;
    };
    return { target: await again(), again };
  }

  describe(`a target ${name}`, () => {
    afterEach(async () => {
      for (const each of undo.splice(0)) await each[Symbol.asyncDispose]();
    });

    test('gives back what was created, byte for byte', async () => {
      const { target } = await prepare();
      for (const [key, bytes] of [
        ['HEAD', everyByte()],
        ['a/b/c.d_e-F', Buffer.alloc(0)],
        ['a/long', Buffer.alloc(8 * 1024 * 1024 + 1, 7)],
      ] as const) {
        expect(await target.create(key, bytes)).toBe('created');
        const found = await target.get(key);
        expect(found?.bytes.equals(bytes)).toBe(true);
        expect((await target.stat(key))?.size).toBe(bytes.length);
      }
    });

    test('has nothing where nothing was written', async () => {
      const { target } = await prepare();
      await target.create('a/b', everyByte());
      for (const key of ['nothing', 'a', 'a/b/c', 'a/bb']) {
        expect(await target.get(key), key).toBeUndefined();
        expect(await target.stat(key), key).toBeUndefined();
      }
      expect(await all(target, 'nothing')).toEqual([]);
    });

    test('refuses keys that lead out of it or that it could not list', async () => {
      const { target } = await prepare();
      for (const key of ['', '/a', 'a/', 'a//b', '..', '../a', 'a/../b', '.a', 'a/.b', 'a b', 'ä', 'a\\b', 'a\0']) {
        const refused = { code: 'PATH_INVALID' };
        await expect(target.create(key, everyByte()), key).rejects.toMatchObject(refused);
        await expect(target.replace(key, everyByte(), undefined), key).rejects.toMatchObject(refused);
        await expect(target.get(key), key).rejects.toMatchObject(refused);
        await expect(target.remove([key]), key).rejects.toMatchObject(refused);
      }
      expect(await all(target, '')).toEqual([]);
    });

    test('tells when an object was made, by its own time', async () => {
      const { target } = await prepare();
      const before = await target.now();
      await target.create('a', everyByte());
      const after = await target.now();
      const modified = (await target.stat('a'))!.modified;
      // Services tell whole seconds.
      expect(modified).toBeGreaterThanOrEqual(Math.floor(before / 1000) * 1000);
      expect(modified).toBeLessThanOrEqual(after + 1000);
      expect(await all(target, 'a')).toEqual([{ key: 'a', size: 256, modified }]);
    });

    test('lists by prefix in the order of the keys’ bytes', async () => {
      const { target } = await prepare();
      const keys = ['a', 'a-b', 'a-b/c', 'a.b/x', 'a/b/c', 'a/b-c', 'a/c', 'a0', 'aB', 'ab/1', 'b', 'tail/10/1', 'tail/1/10', 'tail/1/2'];
      // A directory can't have a file and a directory of one name.
      const chosen = keys.filter(key => !keys.some(other => other.startsWith(`${key}/`)));
      for (const key of chosen.toReversed()) await target.create(key, Buffer.from(key));
      for (const prefix of ['', 'a', 'a/', 'a/b', 'a-b', 'tail/1', 'tail/1/', 'tail/1/2', 'c']) {
        const expected = chosen.filter(key => key.startsWith(prefix)).toSorted();
        expect(await keysOf(target, prefix), prefix).toEqual(expected);
      }
    });

    test('trap 7: lists what comes after the first page', async () => {
      const { target } = await prepare();
      const keys = Array.from({ length: OBJECTS_OF_TWO_PAGES }, (_, index) => `tail/1/${String(index + 1).padStart(10, '0')}`);
      await inParallel(keys, key => target.create(key, Buffer.from('x')));
      await target.create('zz', everyByte());
      expect(await keysOf(target, 'tail/')).toEqual(keys);
      expect(await keysOf(target, '')).toEqual([...keys, 'zz']);
      await target.remove([...keys, 'tail/1/nothing']);
      expect(await keysOf(target, '')).toEqual(['zz']);
    });

    test('removes objects, and knows no error for those that are not there', async () => {
      const { target } = await prepare();
      await target.create('a/b/c', everyByte());
      await target.create('a/d', everyByte());
      await target.remove(['a/b/c', 'a/b/nothing', 'nothing/at/all']);
      expect(await target.get('a/b/c')).toBeUndefined();
      expect(await keysOf(target, '')).toEqual(['a/d']);
      await target.remove([]);
      await target.remove(['a/d', 'a/d']);
      expect(await all(target, '')).toEqual([]);
      expect(await target.create('a/b/c', everyByte())).toBe('created');
    });

    test('replaces an object, and what is read is one or the other', async () => {
      const { target, again } = await prepare();
      const first = await target.replace('HEAD', Buffer.alloc(100_000, 1), undefined);
      if (first === 'changed') throw new Error('there was none');
      const state = { replacing: true };
      const reading = readWhile(await again(), state);
      let { tag } = first;
      for (let round = 2; round < 12; round++) {
        const next = await target.replace('HEAD', Buffer.alloc(100_000, round), tag);
        if (next === 'changed') throw new Error('nobody else writes');
        ({ tag } = next);
      }
      state.replacing = false;
      await reading;
      expect((await target.get('HEAD'))!.tag).toBe(tag);
    });

    test.runIf(supports.conditions)('creates once: the second is told that it exists, and changes nothing', async () => {
      const { target, again } = await prepare();
      expect(await target.create('a/b', Buffer.from('first'))).toBe('created');
      expect(await target.create('a/b', Buffer.from('second, longer'))).toBe('exists');
      expect(await (await again()).create('a/b', Buffer.from('third'))).toBe('exists');
      expect((await target.get('a/b'))?.bytes.toString()).toBe('first');
    });

    test.runIf(supports.conditions)('of many that create one key at once, one made it', async () => {
      const { target, again } = await prepare();
      const clients = [target, await again(), await again()];
      for (let round = 0; round < 5; round++) {
        const key = `race/${round}`;
        const bodies = Array.from({ length: 9 }, (_, index) => Buffer.alloc(50_000, index + 1));
        const outcomes = await Promise.all(bodies.map((bytes, index) => clients[index % 3]!.create(key, bytes)));
        expect(outcomes.filter(outcome => outcome === 'created')).toHaveLength(1);
        expect((await target.get(key))?.bytes.equals(bodies[outcomes.indexOf('created')]!)).toBe(true);
      }
    });

    test.runIf(supports.conditions)('replaces only what still has the tag', async () => {
      const { target, again } = await prepare();
      const other = await again();
      expect(await target.replace('HEAD', Buffer.from('0'), 'a tag of nothing')).toBe('changed');
      expect(await target.get('HEAD')).toBeUndefined();
      const first = tagOf(await target.replace('HEAD', Buffer.from('1'), undefined));
      expect(await other.replace('HEAD', Buffer.from('2'), undefined)).toBe('changed');
      expect((await other.get('HEAD'))?.tag).toBe(first);
      const second = tagOf(await other.replace('HEAD', Buffer.from('3'), first));
      expect(await target.replace('HEAD', Buffer.from('4'), first)).toBe('changed');
      expect((await target.get('HEAD'))?.bytes.toString()).toBe('3');
      expect((await target.get('HEAD'))?.tag).toBe(second);
    });

    test.runIf(supports.conditions)('loses no count of many that replace one object at once', async () => {
      const { target, again } = await prepare();
      const clients = [target, await again(), await again()];
      await target.create('HEAD', Buffer.from('0'));
      await Promise.all(clients.map(count));
      expect((await target.get('HEAD'))?.bytes.toString()).toBe('15');
    });

    test.runIf(supports.durable)('is found as it was by whoever opens it later', async () => {
      const { target, again } = await prepare();
      await target.create('a/b', Buffer.from('created'));
      const tag = tagOf(await target.replace('HEAD', Buffer.from('replaced'), undefined));
      await target.create('gone', everyByte());
      await target.remove(['gone']);
      const later = await again();
      expect(await keysOf(later, '')).toEqual(['HEAD', 'a/b']);
      expect(await later.get('HEAD')).toMatchObject({ bytes: Buffer.from('replaced'), tag });
      expect((await later.get('a/b'))?.bytes.toString()).toBe('created');
    });
  });
}

function everyByte(): Buffer {
  return Buffer.from(Array.from({ length: 256 }, (_, index) => index));
}

function tagOf(outcome: { readonly tag: string } | 'changed'): string {
  if (outcome === 'changed') throw new Error('it was replaced by somebody else');
  return outcome.tag;
}

/** Reads HEAD again and again: each time all its bytes are of one replacement. */
async function readWhile(target: Target, state: { readonly replacing: boolean }): Promise<void> {
  while (state.replacing) {
    const { bytes } = (await target.get('HEAD'))!;
    expect(bytes.length).toBe(100_000);
    expect(bytes.every(byte => byte === bytes[0])).toBe(true);
  }
}

/** Adds five to the number in HEAD, one at a time. */
async function count(target: Target): Promise<void> {
  for (let left = 5; left > 0;) {
    const { bytes, tag } = (await target.get('HEAD'))!;
    const outcome = await target.replace('HEAD', Buffer.from(String(Number(bytes.toString()) + 1)), tag);
    if (outcome !== 'changed') left--;
  }
}

async function all(target: Target, prefix: string): Promise<ListedObject[]> {
  return Array.fromAsync(target.list(prefix));
}

async function keysOf(target: Target, prefix: string): Promise<string[]> {
  return (await all(target, prefix)).map(({ key }) => key);
}

async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (const item of rest) await act(item);
    }),
  );
}
