import { type Restored, restoreSite } from '@evertree/archive';
import { isEvertreeError } from '@evertree/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { DEATHS, dieAtEachStep } from '../support/deaths.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { filesOf, recovered, verify } from '../support/offline-site.ts';
import { archiveHistory, oracleHistory, type OracleHistory, type OracleState } from '../support/restorable.ts';

let made: OracleHistory;
let objects: MemoryTarget['objects'];

beforeAll(async () => {
  const target = new MemoryTarget();
  // One with an image of several parts, and stretches and a tail after it.
  made = await oracleHistory(72, 24);
  await archiveHistory(target, made, { partBytes: 1, group: 2, tailed: 3 });
  ({ objects } = target);
});

function archive(): MemoryTarget {
  return new MemoryTarget({}, new Map(objects));
}

function restore(target: MemoryTarget, disk: FaultDisk, to?: OracleState['position'], asNewStream = false): Promise<Restored> {
  return restoreSite({
    asNewStream,
    target,
    disk,
    clock: systemClock,
    random: systemRandom,
    segmentBytes: 600,
    ...(to && { to }),
    dryRun: false,
  });
}

/** What was read of what is restored, in order. */
function fetched(target: MemoryTarget): string[] {
  return target.calls.flatMap(call => /^get ((?:stretch|image)\/.*)/.exec(call)?.[1] ?? []);
}

async function expectWhole(disk: FaultDisk, state: OracleState, where: string): Promise<void> {
  const { damageCount, digest } = await verify(disk);
  expect([damageCount, digest], where).toEqual([0, state.digest]);
  const store = await recovered(disk.image());
  expect(store.get(''), where).toEqual(state.value);
  expect(store.lineage.epochs.at(-1), where).toMatchObject({ reason: 'restore', base: state.position });
  await store.close();
}

/** Whether a site starts on a directory that has something. */
async function starts(disk: FaultDisk): Promise<boolean> {
  if (filesOf(disk, 'site.json').length === 0 && filesOf(disk, 'unfinished.json').length === 0) return false;
  try {
    await (await recovered(disk.image())).close();
    return true;
  } catch (error) {
    if (isEvertreeError(error, 'UNFINISHED')) return false;
    throw error;
  }
}

describe('a restore that dies at any step', () => {
  const cases = DEATHS.flatMap(death => (['at the end', 'inside a frame'] as const).map(place => [place, death] as const));
  test.each(cases)('leaves nothing that starts with less, and goes on: %s, %s', async (place, death) => {
    const inside = made.states.findLast(({ position }) =>
      made.frames.some(({ header: { base, last } }) => base.revision < position.revision && position.revision < last.revision),
    )!;
    const state = place === 'at the end' ? made.states.at(-1)! : inside;
    const to = place === 'at the end' ? undefined : state.position;
    await dieAtEachStep(
      async () => ({ disk: new FaultDisk().copy(), target: archive() }),
      ({ disk, target }) => restore(target, disk, to),
      async ({ found, died, where }) => {
        if (await starts(found)) {
          await expectWhole(found, state, where);
          return;
        }
        expect(died, where).toBe(true);
        const restored = await restore(archive(), found, to);
        expect([restored.base, restored.digest], where).toEqual([state.position, state.digest]);
        await expectWhole(found, state, where);
      },
      [death],
    );
  });

  test.each(DEATHS)("as another stream leaves nothing of that stream to a restore that stays in the archive's: %s", async death => {
    const state = made.states.at(-1)!;
    const { stream } = made.frames[0]!.header;
    await dieAtEachStep(
      async () => ({ disk: new FaultDisk().copy(), target: archive() }),
      ({ disk, target }) => restore(target, disk, undefined, true),
      async ({ found, where }) => {
        if (await starts(found)) return expectWhole(found, state, where);
        expect(await restore(archive(), found), where).toMatchObject({ base: state.position, digest: state.digest, stream });
        await expectWhole(found, state, where);
      },
      [death],
    );
  });

  test('fetches no object again that it had written', async () => {
    const whole = archive();
    await restore(whole, new FaultDisk());
    const all = fetched(whole);
    expect(all.filter(key => key.startsWith('image/')).length).toBeGreaterThan(1);
    expect(all.filter(key => key.startsWith('stretch/')).length).toBeGreaterThan(2);
    for (const [index, key] of all.entries()) {
      const target = archive();
      const disk = new FaultDisk();
      // Objects are read ahead: the one that fails is met in its turn, when those before it are written.
      using _ = target.fail({ operation: 'get', key: new RegExp(`^${key}$`) });
      await expect(restore(target, disk), key).rejects.toMatchObject({ code: 'UNREACHABLE' });
      expect(await starts(disk), key).toBe(false);
      const again = archive();
      const restored = await restore(again, disk.crash());
      expect(restored.digest, key).toBe(made.states.at(-1)!.digest);
      expect(restored.plan.resumes, key).toBe(true);
      const before = all.slice(0, index);
      expect(
        fetched(again).filter(each => before.includes(each)),
        key,
      ).toEqual([]);
    }
  });
});

describe('a restore onto a full disk', () => {
  test('leaves a directory that does not start, and goes on when there is room', async () => {
    const whole = new FaultDisk();
    await restore(archive(), whole);
    const needed = whole.files.reduce((sum, path) => sum + whole.bytes(path).length, 0);
    for (let share = 1; share < 10; share++) {
      const disk = new FaultDisk({ capacityBytes: Math.floor((needed * share) / 10) });
      await expect(restore(archive(), disk), `${share}`).rejects.toMatchObject({ code: 'STORAGE_FULL' });
      expect(await starts(disk), `${share}`).toBe(false);
      disk.capacityBytes = 1024 ** 3;
      const restored = await restore(archive(), disk);
      expect(restored.digest, `${share}`).toBe(made.states.at(-1)!.digest);
      await expectWhole(disk, made.states.at(-1)!, `${share}`);
    }
  });
});

describe('another restore into a directory in which one did not end', () => {
  test('is refused, and says what to run', async () => {
    const disk = new FaultDisk();
    const target = archive();
    using _ = target.fail({ operation: 'get', key: /^stretch\// });
    await expect(restore(target, disk)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    const before = disk.files.toSorted();
    await expect(restore(archive(), disk, made.states[3]!.position)).rejects.toMatchObject({
      code: 'UNFINISHED',
      message: expect.stringContaining('without --to. Run it again as it was run') as string,
    });
    const other = new MemoryTarget();
    await archiveHistory(other, made, { archive: 'ef'.repeat(16) });
    await expect(restore(other, disk)).rejects.toMatchObject({ code: 'UNFINISHED' });
    expect(disk.files.toSorted()).toEqual(before);
    await expect(recovered(disk.image())).rejects.toMatchObject({ code: 'UNFINISHED' });
  });

  test('begins anew if what was written is not what it was', async () => {
    const target = archive();
    const disk = new FaultDisk();
    using _ = target.fail({ operation: 'get', key: /^stretch\//, after: 1 });
    await expect(restore(target, disk)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    for (const path of [...filesOf(disk, '.evs'), ...filesOf(disk, '.evj'), ...filesOf(disk, '.evj.tmp')]) {
      const found = disk.image();
      found.overwrite(path, bytes => {
        bytes[Math.floor(bytes.length / 2)]! ^= 2;
        return bytes;
      });
      const restored = await restore(archive(), found);
      expect(restored.digest, path).toBe(made.states.at(-1)!.digest);
      await expectWhole(found, made.states.at(-1)!, path);
    }
  });
});
