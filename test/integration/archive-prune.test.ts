import {
  type HeadState,
  type KeepRules,
  movingHead,
  Pin,
  prune,
  type PruneOptions,
  type PruneReport,
  readHeadState,
} from '@evertree/archive';
import { describe, expect, it } from 'vitest';
import { at, image, initialized, LINE, lineOf, putEntry, stretch, STREAM } from '../support/archive-entries.ts';
import { ManualClock, systemRandom } from '../support/host.ts';
import { MemoryTarget, type MemoryTargetOptions } from '../support/memory-target.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const OLD = [stretch(0, 10), image(10), stretch(10, 20)];
const NEW = [image(20), stretch(20, 30)];
const LAST: PruneOptions = { rules: { last: 1, atLeast: 1 } };

async function opened(objects = [...OLD, ...NEW], options: MemoryTargetOptions = {}) {
  const clock = new ManualClock();
  clock.advance(20_000 * DAY);
  const target = new MemoryTarget({ clock, ...options });
  await initialized(target, options.ignoresConditions !== true);
  for (const entry of objects) await putEntry(target, entry);
  await movingHead(target, () => ({ manifest: { stream: STREAM, lines: [lineOf(objects)], condemned: [] } }));
  return { clock, target };
}

async function counting(target: MemoryTarget): Promise<{ paths: string[]; condemned: string[]; state: HeadState }> {
  const state = await readHeadState(target);
  const paths = state.manifest!.lines.flatMap(({ objects }) => objects.flatMap(entry => (entry.kind === 'image' ? entry.parts : [entry])));
  return { paths: paths.map(({ path }) => path).toSorted(), condemned: state.manifest!.condemned.map(({ path }) => path), state };
}

function pathsOf(entries: readonly (ReturnType<typeof stretch> | ReturnType<typeof image>)[]): string[] {
  return entries.flatMap(entry => (entry.kind === 'image' ? entry.parts.map(({ path }) => path) : [entry.path])).toSorted();
}

/** What there is beside manifests. */
function present(target: MemoryTarget): string[] {
  return target.keys.filter(key => /^(?:stretch|image|tail)\//.test(key));
}

describe('prune', () => {
  it('condemns what no rule keeps, deletes it a day later, and then forgets it', async () => {
    const { clock, target } = await opened();
    const first = await prune(target, LAST);
    expect(first).toMatchObject({ condemned: { objects: 4 }, deleted: { objects: 0 }, waiting: { objects: 4 } });
    expect((await counting(target)).paths).toEqual(pathsOf(NEW));
    expect(present(target)).toHaveLength(7);
    clock.advance(DAY - 1);
    expect(await prune(target, LAST)).toMatchObject({ deleted: { objects: 0 } });
    clock.advance(1);
    expect(await prune(target, LAST)).toMatchObject({ deleted: { objects: 4 }, stubborn: [] });
    expect(present(target)).toEqual(pathsOf(NEW));
    clock.advance(2 * DAY);
    await prune(target, LAST);
    expect((await counting(target)).condemned).toEqual([]);
  });

  it('makes room on a target that is full, with what was condemned before', async () => {
    const { clock, target } = await opened([...OLD, ...NEW, image(30), stretch(30, 40)]);
    await prune(target, { rules: { last: 3, atLeast: 1 } });
    clock.advance(DAY);
    const { condemned } = await counting(target);
    for (const key of condemned) target.overwrite(key, () => Buffer.alloc(50_000));
    const used = target.keys.reduce((sum, key) => sum + target.bytes(key).length, 0);
    const full = target.client({ capacityBytes: used });
    expect(await prune(full, LAST)).toMatchObject({ deleted: { objects: condemned.length }, waiting: { objects: 3 } });
    expect(await prune(full, LAST)).toMatchObject({ deleted: { objects: 0 }, waiting: { objects: 3 } });
  });

  it('says in a dry run exactly what it does then, and changes nothing', async () => {
    const { clock, target } = await opened();
    const steps: [dry: PruneReport, real: PruneReport][] = [];
    for (let day = 0; day < 4; day++) {
      const before = target.keys.map(key => `${key} ${target.bytes(key).toString('base64')}`);
      const dry = await prune(target, { ...LAST, dryRun: true });
      expect(target.keys.map(key => `${key} ${target.bytes(key).toString('base64')}`)).toEqual(before);
      steps.push([dry, await prune(target, LAST)]);
      clock.advance(DAY);
    }
    for (const [dry, real] of steps) expect({ ...dry, dryRun: false }).toEqual(real);
    expect(steps.map(([, { deleted }]) => deleted.objects)).toEqual([0, 4, 0, 0]);
  });

  it('names the rule of everything that it keeps', async () => {
    const { target } = await opened();
    const { lines } = await prune(target, { rules: { last: 1, daily: 1, atLeast: 1 }, dryRun: true });
    expect(lines[0]!.entries.map(({ kind, to, keptBy }) => [kind, to.revision, keptBy])).toEqual([
      ['stretch', 10, []],
      ['image', 10, []],
      ['stretch', 20, []],
      ['image', 20, ['the newest state', 'last 1', 'daily: 1970-01-01', 'daily: 2024-10-04']],
      ['stretch', 30, ['the newest state', 'last 1']],
    ]);
    expect(lines[0]).toMatchObject({ line: LINE, site: 'a', isWritten: true, fate: 'pruned', statesBefore: 3, states: 2 });
  });

  it.each<KeepRules>([{}, { last: 0 }])('refuses rules that keep nothing, in words: %j', async rules => {
    const { target } = await opened();
    const calls = target.calls.length;
    await expect(prune(target, { rules })).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    expect(target.calls).toHaveLength(calls);
  });

  it('refuses a grace that pins are not safe with, unless nobody else is there', async () => {
    const { target } = await opened();
    await expect(prune(target, { ...LAST, graceMs: HOUR - 1 })).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    await expect(prune(target, { ...LAST, graceMs: -1, isExclusive: true })).rejects.toMatchObject({ code: 'VALUE_INVALID' });
    expect(await prune(target, { ...LAST, graceMs: 0, isExclusive: true })).toMatchObject({ deleted: { objects: 4 } });
    expect(present(target)).toEqual(pathsOf(NEW));
  });

  it('refuses a target that ignores conditions, unless nobody else is there', async () => {
    const { target } = await opened([...OLD, ...NEW], { ignoresConditions: true });
    await expect(prune(target, LAST)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await prune(target, { ...LAST, isExclusive: true })).toMatchObject({ condemned: { objects: 4 } });
  });

  it('goes on where it was killed, wherever that was', async () => {
    let writes = 0;
    for (; ; writes++) {
      const { clock, target } = await opened();
      const victim = target.client();
      victim.dieAfter(writes);
      const died = await prune(victim, LAST).then(
        () => clock.advance(DAY),
        () => 'died',
      );
      if (
        died !== 'died' &&
        (await prune(victim, LAST).then(
          () => 'done',
          () => 'died',
        )) === 'done'
      )
        break;
      for (let day = 0; day < 4; day++) {
        clock.advance(DAY);
        await prune(target, LAST);
      }
      expect({ writes, present: present(target), ...(await counting(target)), state: 0 }).toEqual({
        writes,
        present: pathsOf(NEW),
        paths: pathsOf(NEW),
        condemned: [],
        state: 0,
      });
    }
    expect(writes).toBeGreaterThan(4);
  });

  it('leaves nothing deleted unnoticed that the target answered for and kept', async () => {
    const { clock, target } = await opened();
    await prune(target, LAST);
    clock.advance(DAY);
    const remove = target.remove.bind(target);
    const kept = pathsOf(OLD)[1]!;
    target.remove = keys => remove(keys.filter(key => key !== kept));
    expect(await prune(target, LAST)).toMatchObject({ stubborn: [kept], deleted: { objects: 3 } });
    expect((await counting(target)).condemned).toContain(kept);
    target.remove = remove;
    expect(await prune(target, LAST)).toMatchObject({ stubborn: [], deleted: { objects: 1 } });
    expect(target.keys).not.toContain(kept);
  });

  it('waits for pins, and not for those that have expired', async () => {
    const { clock, target } = await opened();
    const { manifest } = (await readHeadState(target)).head;
    const reader = new ManualClock();
    const pin = await Pin.hold(target, {
      manifest: manifest!,
      purpose: 'restore',
      clock: reader,
      random: systemRandom,
      report: () => undefined,
    });
    await prune(target, LAST);
    for (let halfHour = 0; halfHour < 60; halfHour++) {
      clock.advance(HOUR / 2);
      reader.advance(HOUR / 2);
      await new Promise(resolve => setImmediate(resolve));
    }
    expect(await prune(target, LAST)).toMatchObject({ deleted: { objects: 0 }, pinned: { objects: 4 }, pins: [{ purpose: 'restore' }] });
    expect(present(target)).toHaveLength(7);
    // Its owner died: it is not renewed any more.
    clock.advance(HOUR);
    expect(await prune(target, LAST)).toMatchObject({ deleted: { objects: 4 }, pins: [] });
    clock.advance(HOUR);
    await prune(target, LAST);
    expect(target.keys.filter(key => key.startsWith('pin/'))).toEqual([]);
    expect(pin.notHeld).toBeUndefined();
  });

  it('deletes nothing while it can not tell what a pin holds', async () => {
    const { clock, target } = await opened();
    await prune(target, LAST);
    clock.advance(DAY);
    await target.create('pin/strange', Buffer.from('{"format": "evertree pin 2"}'));
    expect(await prune(target, LAST)).toMatchObject({ deleted: { objects: 0 }, pins: [{ key: 'pin/strange', purpose: null }] });
    clock.advance(2 * HOUR);
    expect(await prune(target, LAST)).toMatchObject({ deleted: { objects: 4 } });
  });

  it('sweeps what nothing names: swallowed tails, superseded manifests, what dead writers left, probes', async () => {
    const { clock, target } = await opened(NEW);
    const path = `tail/0000000001-${'e'.repeat(16)}-x-1`;
    const tails = [{ path, from: 3, base: at(30), previous: '0'.repeat(64) }];
    await movingHead(target, ({ manifest }) => ({ manifest: { ...manifest!, lines: [lineOf(NEW, { tails })] } }));
    for (const number of [1, 2, 3, 4]) await target.create(`${path}/000000000${number}`, Buffer.from('x'));
    const strays = [
      `tail/dead/0000000001`,
      `stretch/${LINE}/dead`,
      `image/${LINE}/dead/1`,
      'probe/dead',
      `${path}/0000000001`,
      `${path}/0000000002`,
    ];
    for (const key of strays.slice(0, 4)) await target.create(key, Buffer.from('x'));
    await target.create('drill/report', Buffer.from('x'));
    for (let counter = 0; counter < 28; counter++) await movingHead(target, ({ manifest }) => ({ manifest: manifest! }));
    const all: PruneOptions = { rules: { all: true } };
    expect(await prune(target, all)).toMatchObject({ unnamed: { objects: 0 } });
    clock.advance(DAY);
    // Of 29 superseded manifests the newest 8 stay.
    expect(await prune(target, all)).toMatchObject({ unnamed: { objects: strays.length + 21 } });
    expect(target.keys).toEqual(expect.arrayContaining(strays));
    clock.advance(DAY);
    expect(await prune(target, all)).toMatchObject({ deleted: { objects: strays.length + 21 } });
    for (let day = 0; day < 3; day++) {
      clock.advance(DAY);
      await prune(target, all);
    }
    const { counter } = (await readHeadState(target)).head;
    clock.advance(DAY);
    await prune(target, all);
    expect((await readHeadState(target)).head.counter).toBe(counter);
    expect(target.keys.filter(key => !key.startsWith('manifest/'))).toEqual(
      ['HEAD', 'drill/report', `${path}/0000000003`, `${path}/0000000004`, ...pathsOf(NEW)].toSorted(),
    );
    expect(target.keys.filter(key => key.startsWith('manifest/')).length).toBeLessThan(16);
  });

  it('leaves other lines alone unless they are asked for, and drops one whole only if nobody writes it', async () => {
    const other = { id: 'f'.repeat(16), site: '9'.repeat(16) };
    const { clock, target } = await opened();
    const entries = [image(105, { line: other.id }), image(106, { line: other.id }), image(107, { line: other.id })];
    const newer = [image(108, { line: 'a'.repeat(16) })];
    for (const entry of [...entries, ...newer]) await putEntry(target, entry);
    await movingHead(target, ({ manifest }) => ({
      manifest: { ...manifest!, lines: [...manifest!.lines, lineOf(entries, other), lineOf(newer, { ...other, id: 'a'.repeat(16) })] },
    }));
    await expect(prune(target, { ...LAST, dropLines: [other.id] })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    clock.advance(8 * DAY);
    const fates = async (options: Partial<PruneOptions>) =>
      (await prune(target, { ...LAST, dryRun: true, ...options })).lines.map(
        ({ line, fate, isWritten, states }) => `${line[0]} ${fate} ${String(isWritten)} ${states}`,
      );
    expect(await fates({})).toEqual(['1 pruned true 2', 'f left false 3', 'a pruned true 1']);
    expect(await fates({ allLines: true })).toEqual(['1 pruned true 2', 'f pruned false 1', 'a pruned true 1']);
    expect(await fates({ lines: ['ffff'] })).toEqual(['1 left true 3', 'f pruned false 1', 'a left true 1']);
    expect(await fates({ dropLines: ['ffff'] })).toEqual(['1 pruned true 2', 'f dropped false 0', 'a pruned true 1']);
    await expect(prune(target, { ...LAST, dropLines: ['aaaa'] })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    // Its epoch is the highest: a restore would begin it once more.
    await movingHead(target, ({ manifest }) => ({
      manifest: {
        ...manifest!,
        lines: manifest!.lines.map(line =>
          line.id === other.id ? { ...line, gaps: [{ from: at(1), to: { ...at(105), epoch: 9 }, reason: 'history-gone', time: 1 }] } : line,
        ),
      },
    }));
    await expect(prune(target, { ...LAST, dropLines: ['ffff'] })).rejects.toThrow('it alone tells of epoch 9');
    await movingHead(target, ({ manifest }) => ({
      manifest: { ...manifest!, lines: manifest!.lines.map(line => (line.id === other.id ? { ...line, gaps: [] } : line)) },
    }));
    await expect(prune(target, { ...LAST, lines: ['beef'] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await movingHead(target, () => ({
      head: { drilled: { time: 1, passed: true, position: { epoch: 1, revision: 106 }, milliseconds: 1, report: 'drill/1' } },
    }));
    await expect(prune(target, { ...LAST, dropLines: ['ffff'] })).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });

  it('has nothing to do before the first backup', async () => {
    const target = new MemoryTarget();
    await initialized(target);
    expect(await prune(target, LAST)).toMatchObject({ lines: [], condemned: { objects: 0 }, deleted: { objects: 0 } });
  });
});

describe('traps', () => {
  it('9: a stalled writer makes an object again that was pruned', async () => {
    const { clock, target } = await opened();
    const late = stretch(30, 40);
    await putEntry(target, late);
    clock.advance(DAY);
    await prune(target, { rules: { all: true } });
    clock.advance(DAY);
    await prune(target, { rules: { all: true } });
    expect(target.keys).not.toContain(late.path);
    // The request to make it was repeated by the network, days later.
    await putEntry(target, late);
    const publish = () => movingHead(target, ({ manifest }) => ({ manifest: { ...manifest!, lines: [lineOf([...OLD, ...NEW, late])] } }));
    await publish();
    clock.advance(3 * DAY);
    await prune(target, LAST);
    expect(target.keys).toContain(late.path);
    expect((await counting(target)).paths).toContain(late.path);
    // What is not named again goes again.
    await putEntry(target, OLD[0]!);
    for (let day = 0; day < 3; day++) {
      clock.advance(DAY);
      await prune(target, LAST);
    }
    expect(target.keys).not.toContain(pathsOf(OLD).at(-1)!);
  });

  it('12: prune beside a running backup deletes its chunks', async () => {
    const { clock, target } = await opened();
    const chunks = [stretch(30, 40), stretch(40, 50)];
    await putEntry(target, chunks[0]!);
    clock.advance(DAY + HOUR);
    // The backup is slow: what it wrote a day ago is named by nothing yet, and is condemned.
    await prune(target, LAST);
    await putEntry(target, chunks[1]!);
    const publish = (entries: readonly ReturnType<typeof stretch>[]) =>
      movingHead(target, ({ manifest }) => {
        const [line] = manifest!.lines;
        return { manifest: { ...manifest!, lines: [{ ...line!, objects: [...line!.objects, ...entries] }] } };
      });
    // So it is told, instead of naming what will be gone.
    await expect(publish(chunks)).rejects.toMatchObject({ code: 'COMPACTED', details: { paths: [chunks[0]!.path] } });
    const again = stretch(30, 40, { run: 'again' });
    await putEntry(target, again);
    await publish([again, chunks[1]!]);
    for (let day = 0; day < 3; day++) {
      clock.advance(DAY);
      await prune(target, LAST);
    }
    const { paths } = await counting(target);
    expect(paths).toEqual([again.path, chunks[1]!.path, ...pathsOf(NEW)].toSorted());
    expect(present(target)).toEqual(paths);
  });

  it('13: prune by modification time', async () => {
    const { clock, target } = await opened();
    // A copy of the archive to another disk: everything that counts seems old, and what is not needed new.
    for (const [key, kept] of target.objects)
      target.objects.set(key, { ...kept, modified: OLD.some(entry => pathsOf([entry]).includes(key)) ? Number.MAX_SAFE_INTEGER : 0 });
    for (let day = 0; day < 4; day++) {
      await prune(target, LAST);
      expect(target.keys).toEqual(expect.arrayContaining(pathsOf(NEW)));
      clock.advance(DAY);
    }
    expect(present(target)).toEqual(pathsOf(NEW));
    expect((await counting(target)).paths).toEqual(pathsOf(NEW));
  });
});
