import { Archive, Identities, Recipients, historyAfter } from '@evertree/archive';
import type { WantedHistory } from '@evertree/archive';
import type { Frame } from '@evertree/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { ArchiveMaker, inGroups, snapshotOf } from '../support/archive-maker.ts';
import { IDENTITY, RECIPIENT } from '../support/archived-history.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { WrittenHistory } from '../support/scripted-secondary.ts';
import { Simulation } from '../support/simulation.ts';

let simulation: Simulation;
let history: WrittenHistory;
let target: MemoryTarget;
let maker: ArchiveMaker;

beforeEach(async () => {
  simulation = new Simulation(29);
  history = await WrittenHistory.make(simulation, 'a', 40);
  target = new MemoryTarget();
  maker = new ArchiveMaker(target);
});

/** What a site lacks that stands after so many frames, where the primary keeps what follows so many. */
function wanted(held: number, kept: number, of = history): WantedHistory {
  const at = (count: number) => of.frames[count - 1]!.header.last;
  return { stream: of.store.stream!, after: at(held), base: at(kept), primary: { epochs: of.store.epochs, last: of.store.position } };
}

async function taken(want: WantedHistory, identities?: Identities): Promise<Frame[]> {
  const archive = await Archive.open(target, { identities });
  return Array.fromAsync(historyAfter(archive, want));
}

const ends = (frames: readonly Frame[]) => frames.map(({ header }) => header.last);

describe('the history that a site lacks', () => {
  it('comes out of stretches and tail, from where the site stands to the end', async () => {
    const line = maker.line();
    for (const group of inGroups(history.frames.slice(0, 30), 8)) await line.stretch(group);
    await line.tail(inGroups(history.frames.slice(30), 2));
    await maker.publish();
    for (const held of [3, 8, 31, 39]) expect(ends(await taken(wanted(held, 40)))).toEqual(ends(history.frames.slice(held)));
  });

  it('is not read at all if it does not lead far enough, and the error says how far it leads', async () => {
    const line = maker.line();
    for (const group of inGroups(history.frames.slice(0, 24), 8)) await line.stretch(group);
    await maker.publish();
    const archive = await Archive.open(target);
    const before = target.calls.length;
    const want = wanted(3, 30);
    await expect(Array.fromAsync(historyAfter(archive, want))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('holds what follows up to 1-24 only, and what lies before 1-30 is wanted'),
    });
    expect(target.calls.length).toBe(before);
    await expect(taken(wanted(26, 30))).rejects.toMatchObject({ message: expect.stringContaining('holds nothing that follows') });
  });

  it('is not taken across a gap', async () => {
    const line = maker.line();
    await line.stretch(history.frames.slice(0, 10));
    await line.stretch(history.frames.slice(20, 40));
    await maker.publish();
    await expect(taken(wanted(5, 30))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await taken(wanted(22, 30))).length).toBe(18);
  });

  it('goes on in the line of a promoted site, where the former primary parted from it', async () => {
    const promoted = await history.promoted(simulation, 'b', 20);
    await promoted.grow(simulation, 15);
    const former = maker.line('a');
    // The fork lies inside an object: only its frames tell.
    for (const group of inGroups(history.frames, 16)) await former.stretch(group);
    const successor = maker.line('b');
    await successor.image(snapshotOf(promoted.store));
    await successor.stretch(promoted.frames.slice(18, 30));
    await successor.tail(inGroups(promoted.frames.slice(30), 2));
    await maker.publish();
    expect(ends(await taken(wanted(5, 34, promoted)))).toEqual(ends(promoted.frames.slice(5)));
    // To a site that still follows the former primary the other line says nothing.
    expect(ends(await taken(wanted(5, 34)))).toEqual(ends(history.frames.slice(5)));
  });

  it('ends at the fork if only the former primary archived', async () => {
    const promoted = await history.promoted(simulation, 'b', 20);
    await promoted.grow(simulation, 15);
    const former = maker.line('a');
    for (const group of inGroups(history.frames, 16)) await former.stretch(group);
    await maker.publish();
    expect(ends(await taken(wanted(5, 18, promoted)))).toEqual(ends(promoted.frames.slice(5, 20)));
    await expect(taken(wanted(5, 25, promoted))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('comes from another line that has it, where an object is damaged', async () => {
    const first = maker.line('a');
    const entries = [];
    for (const group of inGroups(history.frames, 10)) entries.push(await first.stretch(group));
    await maker.publish();
    target.overwrite(entries[1]!.path, bytes => Buffer.from(bytes.map((byte, at) => (at === 300 ? byte ^ 1 : byte))));
    await expect(taken(wanted(5, 35))).rejects.toMatchObject({ code: 'DAMAGED', message: expect.stringContaining(entries[1]!.path) });
    const second = maker.line('b');
    for (const group of inGroups(history.frames, 7)) await second.stretch(group);
    await maker.publish();
    expect(ends(await taken(wanted(5, 35)))).toEqual(ends(history.frames.slice(5)));
  });

  it('is refused of another stream', async () => {
    await maker.line().stretch(history.frames);
    await maker.publish();
    await expect(taken({ ...wanted(5, 30), stream: 'f'.repeat(32) })).rejects.toMatchObject({ code: 'STREAM_MISMATCH' });
  });

  it('takes an identity where it is encrypted', async () => {
    maker = new ArchiveMaker(target, { sealing: Recipients.parse([RECIPIENT]) });
    await maker.line().stretch(history.frames);
    await maker.publish();
    await expect(taken(wanted(5, 30))).rejects.toMatchObject({ code: 'IDENTITY_NEEDED' });
    expect((await taken(wanted(5, 30), Identities.parse([IDENTITY]))).length).toBe(history.frames.length - 5);
  });

  it('stops reading when nobody takes any more', async () => {
    const line = maker.line();
    for (const group of inGroups(history.frames, 1)) await line.stretch(group);
    await maker.publish();
    const archive = await Archive.open(target);
    const before = target.calls.length;
    for await (const _ of historyAfter(archive, wanted(1, 40))) break;
    expect(target.calls.length - before).toBeLessThanOrEqual(6);
  });
});
