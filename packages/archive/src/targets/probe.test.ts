import { describe, expect, test } from 'vitest';
import { ManualClock, systemRandom } from '../../../../test/support/host.ts';
import { MemoryTarget, type MemoryTargetOptions, type TargetOperation } from '../../../../test/support/memory-target.ts';
import { probeTarget } from './probe.ts';

const clock = new ManualClock();
const ALL = { create: true, read: true, replace: true, list: true, remove: true };

function probe(target: MemoryTarget) {
  return probeTarget(target, { clock, random: systemRandom });
}

describe('a probe', () => {
  test('finds a sound target, and leaves nothing', async () => {
    const target = new MemoryTarget({ clock });
    await target.create('HEAD', Buffer.from('x'));
    expect(await probe(target)).toEqual({ conditions: true, ignored: [], rights: ALL, refusals: [], clockSkewMs: 0 });
    expect(target.keys).toEqual(['HEAD']);
  });

  test('finds a target that ignores conditions', async () => {
    const { conditions, ignored, rights } = await probe(new MemoryTarget({ clock, ignoresConditions: true }));
    expect({ conditions, rights }).toEqual({ conditions: false, rights: ALL });
    expect(ignored.join()).toMatch(/created once.*at once.*tag had changed/);
  });

  test('finds one that refuses, but not of those that come at once', async () => {
    class Hasty extends MemoryTarget {
      override async create(key: string, bytes: Uint8Array) {
        if (this.objects.has(key)) return super.create(key, bytes);
        await Promise.resolve();
        this.objects.delete(key);
        this.objects.set(key, { bytes: Buffer.from(bytes), modified: 0 });
        return 'created' as const;
      }
    }
    const { conditions, ignored } = await probe(new Hasty({ clock }));
    expect(conditions).toBe(false);
    expect(ignored).toEqual([expect.stringMatching(/at once/)]);
  });

  test.each<[MemoryTargetOptions['skewMs'] & number]>([[5_000], [-90_000]])('tells the skew of the clocks: %i', async skewMs => {
    expect((await probe(new MemoryTarget({ clock, skewMs }))).clockSkewMs).toBe(skewMs);
  });

  test.each<[TargetOperation, keyof typeof ALL]>([
    ['get', 'read'],
    ['create', 'create'],
    ['replace', 'replace'],
    ['list', 'list'],
    ['remove', 'remove'],
  ])('tells that the right to %s is missing', async (operation, right) => {
    const target = new MemoryTarget({ clock });
    target.fail({ operation, code: 'FORBIDDEN' });
    const { rights, refusals } = await probe(target);
    expect(rights).toEqual({ ...ALL, [right]: false });
    expect(refusals).toEqual([expect.stringContaining(operation)]);
  });

  test('throws where the target can’t be reached, and removes what it wrote', async () => {
    const target = new MemoryTarget({ clock });
    target.fail({ operation: 'replace' });
    await expect(probe(target)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(target.keys).toEqual([]);
  });
});
