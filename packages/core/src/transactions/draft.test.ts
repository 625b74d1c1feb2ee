import { describe, expect, it } from 'vitest';
import { onTree } from '../../test/on-tree.ts';
import { updateDraft } from './draft.ts';

interface Device {
  mtu?: number;
  ports: { up: boolean }[];
  tags: string[];
  owner?: { name: string };
  [key: string]: unknown;
}
const device = (): Device => ({ mtu: 1500, ports: [{ up: true }, { up: false }], tags: ['a', 'b'], owner: { name: 'x' } });

const updated = (content: object, recipe: (draft: never) => unknown) =>
  onTree(content, tx => updateDraft(tx, ['at'], recipe as (draft: unknown) => unknown));

async function late(draft: Device): Promise<void> {
  await Promise.resolve();
  draft.mtu = 1;
}

const refused = expect.objectContaining({ code: 'TRANSACTION_INVALID' });

describe('a draft', () => {
  it('resolves into the puts and deletes of what its recipe changed', () => {
    const { value, calls } = updated({ at: device(), beside: 1 }, (draft: Device) => {
      draft.mtu = 9000;
      draft.owner!.name = 'y';
      delete draft['absent'];
      draft['made'] = { deep: [1] };
    });
    expect(calls.toSorted()).toStrictEqual(['put at/made', 'put at/mtu', 'put at/owner/name']);
    expect(value).toStrictEqual({ at: { ...device(), mtu: 9000, owner: { name: 'y' }, made: { deep: [1] } }, beside: 1 });
  });

  it('puts a changed array whole, and once, however many of its items changed', () => {
    const { value, calls } = updated({ at: device() }, (draft: Device) => {
      draft.ports.shift();
      draft.ports[0]!.up = true;
      draft.ports.push({ up: false }, { up: true });
      draft.tags.reverse();
    });
    expect(calls.toSorted()).toStrictEqual(['put at/ports', 'put at/tags']);
    expect(value).toMatchObject({ at: { ports: [{ up: true }, { up: false }, { up: true }], tags: ['b', 'a'] } });
  });

  it('deletes what was deleted, and moves what was moved', () => {
    const { value } = updated({ at: device() }, (draft: Device) => {
      draft['moved'] = { owner: draft.owner, ports: draft.ports };
      delete draft.owner;
      draft.ports[0]!.up = false;
      draft.ports = [];
    });
    expect(value).toStrictEqual({
      at: { mtu: 1500, ports: [], tags: ['a', 'b'], moved: { owner: { name: 'x' }, ports: [{ up: false }, { up: false }] } },
    });
  });

  it('writes nothing if nothing changed', () => {
    expect(updated({ at: device() }, (draft: Device) => void draft.ports.map(port => port.up)).calls).toStrictEqual([]);
    expect(updated({}, () => undefined).calls).toStrictEqual([]);
    expect(updated({ at: 1 }, () => undefined).calls).toStrictEqual([]);
  });

  it.each([
    ['an object', device(), { new: true }],
    ['an array', [1, 2], 'text'],
    ['a leaf', 5, { n: 6 }],
    ['nothing', undefined, [1]],
    ['an object, by null', device(), null],
  ])('replaces %s by what its recipe returns', (_, present, returned) => {
    const { value, calls } = updated(present === undefined ? {} : { at: present }, () => returned);
    expect(value).toStrictEqual({ at: returned });
    expect(calls).toStrictEqual(['put at']);
  });

  it('is undefined if there is no value, and the value itself if that is a leaf', () => {
    const seen: unknown[] = [];
    updated({}, draft => void seen.push(draft));
    updated({ at: 5 }, draft => void seen.push(draft));
    expect(seen).toStrictEqual([undefined, 5]);
    expect(updated({ at: 5 }, (draft: number) => draft + 1).value).toStrictEqual({ at: 6 });
  });

  it.each<[string, object, string, RegExp]>([
    ['nothing stands', {}, 'NOT_FOUND', /nothing stands at "\/at": there is no draft to change; put an object there first, or return/],
    ['a leaf stands', { at: 5 }, 'PATH_INVALID', /a value stands at "\/at", not an object: there is no draft to change/],
    ['null stands', { at: null }, 'PATH_INVALID', /a value stands at "\/at"/],
  ])('that is changed where %s is refused with the ways out', (_, content, code, message) => {
    const run = () => updated(content, (draft: Device) => void (draft.mtu = 1));
    expect(run).toThrow(message);
    expect(run).toThrow(expect.objectContaining({ code, details: { path: '/at' }, cause: expect.any(TypeError) as TypeError }));
  });

  it('reaches the root, and an array at the path itself', () => {
    expect(onTree({ a: 1 }, tx => updateDraft(tx, [], draft => void ((draft as { b?: number }).b = 2))).value).toStrictEqual({
      a: 1,
      b: 2,
    });
    expect(updated({ at: [1] }, (draft: number[]) => void draft.push(2)).value).toStrictEqual({ at: [1, 2] });
  });

  it('keeps unusual keys apart', () => {
    const odd: unknown = JSON.parse('{"__proto__":{"x":1},"a/b":{"~":1},"constructor":{"prototype":1},"0":{"1":1}}');
    const { value, calls } = updated({ at: odd }, (draft: { [key: string]: { [key: string]: number } }) => {
      draft['__proto__']!['x'] = 2;
      draft['a/b']!['~'] = 2;
      draft['constructor']!['prototype'] = 2;
      draft['0']!['1'] = 2;
    });
    expect(JSON.stringify((value as { at: unknown }).at)).toBe(
      '{"0":{"1":2},"__proto__":{"x":2},"a/b":{"~":2},"constructor":{"prototype":2}}',
    );
    expect(calls).toHaveLength(4);
  });

  it("does not freeze the values that the recipe handed over: they stay the caller's", () => {
    const mine = { list: [1] };
    updated({ at: {} }, (draft: { mine?: object }) => void (draft.mine = mine));
    mine.list.push(2);
    expect(mine).toStrictEqual({ list: [1, 2] });
  });

  it('refuses an async recipe, and its later rejection does not end the process', async () => {
    const rejected: unknown[] = [];
    const onRejection = (error: unknown): void => void rejected.push(error);
    process.on('unhandledRejection', onRejection);
    expect(() => updated({ at: device() }, late)).toThrow(refused);
    expect(() => updated({}, async () => 1)).toThrow(refused);
    await new Promise(resolve => setImmediate(resolve));
    process.off('unhandledRejection', onRejection);
    expect(rejected).toStrictEqual([]);
  });

  it('refuses a recipe that changes its draft and returns something else, with the remedy', () => {
    expect(() => updated({ at: device() }, (draft: Device) => (draft.mtu = 9000))).toThrow(/return a value, not both \(braces/);
  });

  it("passes on what the recipe throws, and refuses what JSON doesn't have", () => {
    const own = new Error('own');
    expect(() =>
      updated({ at: device() }, () => {
        throw own;
      }),
    ).toThrow(own);
    for (const bad of [undefined, Number.NaN, new Date(0), new Map()]) {
      expect(() => updated({ at: device() }, (draft: Device) => void (draft['bad'] = bad))).toThrow(
        expect.objectContaining({ code: 'VALUE_INVALID', details: { path: '/at/bad' } }),
      );
    }
  });
});
