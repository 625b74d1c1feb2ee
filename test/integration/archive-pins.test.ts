import { movingHead, Pin, readHeadState } from '@evertree/archive';
import type { Report } from '@evertree/core';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { initialized, lineOf, putEntry, stretch, STREAM } from '../support/archive-entries.ts';
import { ManualClock, systemRandom } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

async function opened() {
  const clock = new ManualClock();
  clock.advance(1_000 * HOUR);
  const target = new MemoryTarget({ clock });
  await initialized(target);
  await publish(target);
  const manifest = (await readHeadState(target)).head.manifest!;
  const reports: Report[] = [];
  const options = { manifest, purpose: 'restore', clock, random: systemRandom, report: (report: Report) => void reports.push(report) };
  return { clock, target, options, reports };
}

/** Another manifest, of nothing in particular. */
async function publish(target: MemoryTarget): Promise<void> {
  await putEntry(target, stretch(0, 5));
  await movingHead(target, () => ({ manifest: { stream: STREAM, lines: [lineOf([stretch(0, 5)])], condemned: [] } }));
}

function pinsIn(target: MemoryTarget): { manifest: string; expiresAt: number }[] {
  return target.keys.filter(key => key.startsWith('pin/')).map(key => JSON.parse(target.bytes(key).toString()) as never);
}

async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= MINUTE) {
    clock.advance(Math.min(left, MINUTE));
    await setImmediate();
  }
}

describe('a pin', () => {
  it('holds its manifest for as long as it is held, and is gone afterwards', async () => {
    const { clock, target, options, reports } = await opened();
    const pin = await Pin.hold(target, options);
    await pass(clock, 5 * HOUR);
    expect(pin.notHeld).toBeUndefined();
    expect(pinsIn(target)).toEqual([expect.objectContaining({ manifest: options.manifest })]);
    expect(pinsIn(target)[0]!.expiresAt).toBeGreaterThan(clock.now() + HOUR / 2);
    await pin[Symbol.asyncDispose]();
    expect({ pins: pinsIn(target), reports }).toEqual({ pins: [], reports: [] });
  });

  it('survives a target that is away for less than its life, and answers that were lost', async () => {
    const { clock, target, options } = await opened();
    await using pin = await Pin.hold(target, options);
    const outage = target.fail({});
    await pass(clock, 45 * MINUTE);
    outage[Symbol.dispose]();
    target.fail({ operation: 'replace', tookEffect: true, times: 1 });
    await pass(clock, 10 * HOUR);
    expect(pin.notHeld).toBeUndefined();
  });

  it('says aloud that it was lost when it could not be renewed in time', async () => {
    const { clock, target, options, reports } = await opened();
    await using pin = await Pin.hold(target, options);
    target.fail({});
    await pass(clock, HOUR);
    expect(pin.notHeld).toMatchObject({ code: 'COMPACTED' });
    expect(reports.at(-1)).toMatchObject({ level: 'error', event: 'archive-pin-lost' });
  });

  it('says aloud that somebody removed it', async () => {
    const { clock, target, options, reports } = await opened();
    await using pin = await Pin.hold(target, options);
    await target.remove(target.keys.filter(key => key.startsWith('pin/')));
    await pass(clock, 11 * MINUTE);
    expect(pin.notHeld).toMatchObject({ code: 'COMPACTED' });
    expect(reports.at(-1)).toMatchObject({ level: 'error', event: 'archive-pin-lost' });
  });

  it.each(['FORBIDDEN', 'STORAGE_FULL'] as const)(
    'at a target that answers %s says that it holds nothing, and reading goes on',
    async code => {
      const { target, options, reports } = await opened();
      target.fail({ operation: 'replace', code });
      await using pin = await Pin.hold(target, options);
      expect(pin.notHeld).toMatchObject({ code });
      expect(reports).toEqual([expect.objectContaining({ level: 'warn' })]);
    },
  );

  it('may be of a manifest that was just replaced, not of one that was replaced long ago', async () => {
    const { clock, target, options } = await opened();
    await publish(target);
    await publish(target);
    clock.advance(HOUR - MINUTE - 1);
    await using pin = await Pin.hold(target, options);
    expect(pin.notHeld).toBeUndefined();
    clock.advance(1);
    await expect(Pin.hold(target, options)).rejects.toMatchObject({ code: 'COMPACTED' });
    expect(pinsIn(target)).toHaveLength(1);
    await expect(Pin.hold(target, { ...options, manifest: 'f'.repeat(64) })).rejects.toMatchObject({ code: 'COMPACTED' });
  });
});
