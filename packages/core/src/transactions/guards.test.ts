import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { importValue } from '../tree/content.ts';
import { Guards, type GuardSchema } from './guards.ts';
import { Tree } from '../tree/tree.ts';

const device = z.object({ mtu: z.number().min(68), name: z.string().optional() });

function check(pattern: string, content: object, ...paths: string[][]): void {
  const guards = new Guards();
  const tree = new Tree();
  guards.add(pattern, device, tree.root);
  tree.put([], importValue(content, [], 1));
  guards.check(
    tree.root,
    paths.map(path => ({ path })),
  );
}

describe('a guard', () => {
  it.each<[string, unknown]>([
    ['is missing', undefined],
    ['is null', null],
    ['has no safeParse', { parse: () => undefined }],
    ['has a safeParse that is no function', { safeParse: true }],
    ['is a function without safeParse', () => true],
  ])('is refused where nothing stands yet if its schema %s', (_, schema) => {
    const add = () => new Guards().add('/devices/*', schema as GuardSchema, new Tree().root);
    expect(add).toThrow(
      expect.objectContaining({
        code: 'CONFIGURATION_INVALID',
        message: expect.stringMatching(
          /^the schema of the guard on "\/devices\/\*" has no function safeParse; pass a zod schema/,
        ) as string,
        details: { guard: '/devices/*', option: 'schema' },
      }),
    );
  });

  it('refuses what does not parse, and names the guard, the path and the issue, but no value', () => {
    const run = check.bind(undefined, '/devices/*', { devices: { r1: { mtu: 6 } } }, ['devices', 'r1', 'mtu']);
    expect(run).toThrow(/"\/devices\/\*" refuses what would stand at "\/devices\/r1\/mtu": .*68/);
    expect(run).toThrow(
      expect.objectContaining({
        code: 'GUARD_FAILED',
        details: expect.objectContaining({ guard: '/devices/*', path: '/devices/r1' }) as object,
      }),
    );
  });

  it.each<[string, string[]]>([
    ['at the place', ['devices', 'r1']],
    ['below it', ['devices', 'r1', 'name']],
    ['above it', ['devices']],
    ['at the root', []],
  ])('judges after an operation %s', (_, path) => {
    const judged = { devices: { r1: { mtu: 1500, name: 1 } } };
    expect(() => check('/devices/r1', judged, path)).toThrow(/name/);
    expect(() => check('/devices/*', judged, path)).toThrow(/name/);
  });

  it('accepts what parses, what is absent, and what no operation could have changed', () => {
    const passed: [tree: object, path: string[]][] = [
      [{ devices: { r1: { mtu: 1500 } } }, ['devices']],
      [{ other: 1 }, ['devices', 'r1']],
      [{ devices: { r1: { mtu: 1 }, r2: { mtu: 1500 } } }, ['devices', 'r2', 'mtu']],
    ];
    for (const [tree, path] of passed) expect(() => check('/devices/*', tree, path)).not.toThrow();
  });

  it('ends with its registration', () => {
    const guards = new Guards();
    const tree = new Tree();
    const guard = guards.add('/n', z.string(), tree.root);
    tree.put(['n'], 1);
    expect(() => guards.check(tree.root, [{ path: ['n'] }])).toThrow(/guard/);
    guard[Symbol.dispose]();
    expect(guards.size).toBe(0);
    expect(() => guards.check(tree.root, [{ path: ['n'] }])).not.toThrow();
  });

  it.each(['/devices/*', '/devices/r2'])('at %s is refused where it is broken already, and is no guard then', pattern => {
    const guards = new Guards();
    const tree = new Tree();
    tree.put([], importValue({ devices: { r1: { mtu: 1500 }, r2: { mtu: 6 } } }, [], 1));
    expect(() => guards.add(pattern, device, tree.root)).toThrow(/refuses what stands at "\/devices\/r2\/mtu": .*68/);
    expect(() => guards.add(pattern, device, tree.root)).toThrow(expect.objectContaining({ code: 'GUARD_FAILED' }));
    expect(guards.size).toBe(0);
    tree.put(['devices', 'r2', 'mtu'], 1500);
    guards.add(pattern, device, tree.root);
    expect(guards.size).toBe(1);
  });

  it('on the root is judged as any other', () => {
    const guards = new Guards();
    const tree = new Tree();
    tree.put([], importValue({ mtu: 6 }, [], 1));
    expect(() => guards.add('', device, tree.root)).toThrow(/refuses what stands at "\/mtu"/);
  });
});
