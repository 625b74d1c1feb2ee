import { describe, expect, it } from 'vitest';
import { Scene, tell, type Telling } from '../../test/scene.ts';
import type { Batch } from './batch.ts';
import { any, parsePattern, type PatternLike } from './pattern.ts';
import { expectErrors } from '../../../../test/support/reports.ts';

describe('what a listener is told, as MD-SAL tells it', () => {
  const start = { devices: { r1: { up: true, mtu: 1500 }, r2: { up: false } }, other: 1 };
  it.each<[string, PatternLike, [string, unknown?][], Telling[]]>([
    [
      'a write of the place',
      '/devices/r1',
      [['/devices/r1', { up: false }]],
      [['write', '/devices/r1', { up: true, mtu: 1500 }, { up: false }]],
    ],
    ['a write below it', '/devices/r2', [['/devices/r2/up', true]], [['subtree-modified', '/devices/r2', { up: false }, { up: true }]]],
    ['a delete of it', '/devices/r2', [['/devices/r2']], [['delete', '/devices/r2', { up: false }, undefined]]],
    [
      'a delete below it',
      '/devices/r1',
      [['/devices/r1/mtu']],
      [['subtree-modified', '/devices/r1', { up: true, mtu: 1500 }, { up: true }]],
    ],
    ['a write above it', '/devices/r2/up', [['/devices', { r2: { up: 1 } }]], [['write', '/devices/r2/up', false, 1]]],
    ['a write above it that leaves it as it was', '/devices/r2/up', [['/devices', { r2: { up: false } }]], []],
    ['a delete above it', '/devices/r2/up', [['/devices']], [['delete', '/devices/r2/up', false, undefined]]],
    ['its creation by a write below', '/new', [['/new/a/b', 1]], [['write', '/new', undefined, { a: { b: 1 } }]]],
    ['a write beside it', '/devices/r1', [['/devices/r2/up', true]], []],
    [
      'several operations below it, as one',
      '/devices',
      [
        ['/devices/r1/up', false],
        ['/devices/r3', {}],
      ],
      [['subtree-modified', '/devices', start.devices, { r1: { up: false, mtu: 1500 }, r2: { up: false }, r3: {} }]],
    ],
    [
      'any key, each by itself',
      '/devices/*/up',
      [['/devices/r1/up', false], ['/devices/r3', { up: 1 }], ['/devices/r2']],
      [
        ['write', '/devices/r1/up', true, false],
        ['write', '/devices/r3/up', undefined, 1],
        ['delete', '/devices/r2/up', false, undefined],
      ],
    ],
    [
      'any key, under a write above',
      '/devices/*/up',
      [['/devices', { r1: { up: true }, r4: { up: 4 } }]],
      [
        ['delete', '/devices/r2/up', false, undefined],
        ['write', '/devices/r4/up', undefined, 4],
      ],
    ],
    ['the root', '', [['/other', 2]], [['subtree-modified', '', start, { ...start, other: 2 }]]],
    [
      'a key that is called *',
      ['*'],
      [
        ['/*', 1],
        ['/x', 1],
      ],
      [['write', '/*', undefined, 1]],
    ],
    ['any key, as segments', [any], [['/other', 2]], [['write', '/other', 1, 2]]],
  ])('%s', async (_, pattern, operations, expected) => {
    const scene = new Scene(start);
    const batches: Batch[] = [];
    scene.listen(pattern, batch => void batches.push(batch));
    await scene.settle();
    expect(batches.map(batch => batch.initial)).toEqual([true]);
    scene.commit(...operations);
    await scene.settle();
    const told = batches.slice(1).flatMap(tell);
    expect(new Set(told.map(each => JSON.stringify(each)))).toEqual(new Set(expected.map(each => JSON.stringify(each))));
    expect(batches).toHaveLength(expected.length === 0 ? 1 : 2);
    if (expected.length > 0)
      expect(batches[1]).toMatchObject({ initial: false, merged: 1, from: { revision: 0 }, position: { revision: 1 }, time: 1 });
  });

  it('the present state once at registration, or that there is none', async () => {
    const scene = new Scene(start);
    const patterns = ['/devices/r2', '/nothing', '/devices/*/mtu', '/nothing/*'];
    const told = patterns.map(pattern => {
      const batches: Telling[][] = [];
      scene.listen(pattern, batch => void batches.push(tell(batch)));
      return batches;
    });
    scene.commit(['/devices/r2/up', 'later']);
    await scene.settle();
    expect(told).toEqual([
      [[['write', '/devices/r2', undefined, { up: false }]], [['subtree-modified', '/devices/r2', { up: false }, { up: 'later' }]]],
      [[['delete', '/nothing', undefined, undefined]]],
      [[['write', '/devices/r1/mtu', undefined, 1500]]],
      [[]],
    ]);
  });

  it('together with the operations that made the change', async () => {
    const scene = new Scene(start);
    let batch: Batch | undefined;
    scene.listen('/devices/r1', each => void (batch = each));
    scene.commit(['/devices/r1/mtu', 9000], ['/devices/r1/up'], ['/other', 2]);
    await scene.settle();
    expect(batch!.changes[0]!.operations).toMatchObject([
      { type: 'put', path: ['devices', 'r1', 'mtu'], value: 9000 },
      { type: 'delete', path: ['devices', 'r1', 'up'] },
    ]);
  });
});

describe('a listener', () => {
  it('is never called inside a commit, nor before its earlier call has ended', async () => {
    const scene = new Scene();
    const events: string[] = [];
    let finish: (() => void) | undefined;
    scene.listen('/n', batch => {
      events.push(`begin ${batch.position.revision}`);
      return new Promise(resolve => {
        finish = () => {
          events.push(`end ${batch.position.revision}`);
          resolve();
        };
      });
    });
    scene.commit(['/n', 1]);
    scene.commit(['/n', 2]);
    expect(events).toEqual([]);
    await scene.settle();
    expect(events).toEqual(['begin 0']);
    finish!();
    await scene.settle();
    expect(events).toEqual(['begin 0', 'end 0', 'begin 1']);
  });

  it('is not called twice at once, even if a call commits and the next one takes long', async () => {
    const scene = new Scene();
    let calls = 0;
    scene.listen('/n', batch => {
      calls++;
      if (batch.initial) scene.commit(['/n', 1], ['/m', 1]);
      else return new Promise(() => undefined);
      return undefined;
    });
    scene.commit(['/n', 0]);
    await scene.settle();
    expect(calls).toBe(2);
  });

  it('that throws, rejects or never ends delays no other listener, and is reported', async () => {
    expectErrors('listener-threw');
    const scene = new Scene();
    const good: number[] = [];
    scene.listen('/n', () => {
      throw new Error('mine');
    });
    scene.listen('/n', () => Promise.reject(new Error('mine, later')));
    scene.listen('/n', () => new Promise(() => undefined));
    scene.listen('/n', batch => void good.push(batch.position.revision));
    scene.commit(['/n', 1]);
    scene.commit(['/n', 2]);
    await scene.settle();
    expect(good).toEqual([0, 1, 2]);
    expect(scene.reports.map(report => report.event)).toEqual(Array.from({ length: 6 }, () => 'listener-threw'));
    expect(scene.reports[0]!.message).toContain('"/n"');
  });

  it('that was disposed is not called again, not even with waiting batches', async () => {
    const scene = new Scene();
    let calls = 0;
    const listening = scene.listen('/n', () => {
      calls++;
      listening[Symbol.dispose]();
    });
    scene.commit(['/n', 1]);
    await scene.settle();
    expect([calls, scene.listeners.size]).toEqual([1, 0]);
  });

  it('may register another, and end', async () => {
    const scene = new Scene({ n: 1 });
    const told: unknown[] = [];
    scene.listen('/n', () => {
      if (told.length === 0) scene.listen('/m', batch => void told.push(tell(batch)));
    });
    await scene.settle();
    scene.commit(['/m', 2]);
    await scene.settle();
    expect(told).toEqual([[['delete', '/m', undefined, undefined]], [['write', '/m', undefined, 2]]]);
  });

  it('that falls behind gets what waits as one batch: `before` of the first, `after` of the last, nothing dropped', async () => {
    const scene = new Scene({ n: 0, m: 0 }, 3);
    const batches: Batch[] = [];
    let release: (() => void) | undefined;
    scene.listen('/*', batch => {
      batches.push(batch);
      return batches.length === 1 ? new Promise<void>(resolve => void (release = resolve)) : undefined;
    });
    await scene.settle();
    for (let n = 1; n <= 20; n++) scene.commit([n % 2 === 0 ? '/n' : '/m', n]);
    scene.commit(['/n', 0]);
    release!();
    await scene.settle();
    const after = batches.slice(1);
    expect(after.reduce((sum, batch) => sum + batch.merged, 0)).toBe(21);
    expect(after.length).toBeLessThanOrEqual(4);
    expect(after[0]!.from.revision).toBe(0);
    for (const [index, batch] of after.entries()) if (index > 0) expect(batch.from).toEqual(after[index - 1]!.position);
    expect(scene.reports.map(report => report.event)).toEqual(['listener-behind']);
    // n went there and back within the merged ones or not: the last word about it is right.
    const last = new Map(batches.flatMap(batch => batch.changes.map(change => [change.path, change.after])));
    expect(Object.fromEntries(last)).toEqual({ '/n': 0, '/m': 19 });
  });
});

describe('a pattern', () => {
  it('has its wildcards as whole segments of pointers, and as `any` in arrays', () => {
    expect(parsePattern('/a/*/b*/~1')).toEqual(['a', any, 'b*', '/']);
    expect(parsePattern(['a', '*', any])).toEqual(['a', '*', any]);
    expect(() => parsePattern('a')).toThrow(/begin with/);
    expect(() => parsePattern([1] as never)).toThrow(/segment 0/);
  });
});
