import { frameBody, sealFrame } from '@evertree/core';
import { beforeEach, expect, test } from 'vitest';
import { expectErrors } from '../support/reports.ts';
import type { ScriptedLink } from '../support/scripted-link.ts';
import { ScriptedSecondary, WrittenHistory } from '../support/scripted-secondary.ts';
import { Simulation } from '../support/simulation.ts';

const MEMBERS = 10_000;

let simulation: Simulation;
let history: WrittenHistory;
let secondary: ScriptedSecondary;
/** Turns that the secondary's event loop had. */
let turns: number;
/** Called in each of them. */
let inTurn: () => void;

beforeEach(async () => {
  simulation = new Simulation(9);
  history = await WrittenHistory.make(simulation, 'a', 3);
  history.store.put('/large', Object.fromEntries(Array.from({ length: MEMBERS }, (_, index) => [`k${index}`, { index }])));
  await history.grow(simulation, 2);
  secondary = new ScriptedSecondary(simulation);
  // Each step takes a turn of its own.
  const { clock } = simulation;
  let readings = 0;
  const soon = (task: () => void): void => {
    clock.soon(() => {
      turns++;
      inTurn();
      task();
    });
  };
  secondary.clock = { ...clock, monotonic: () => 5 * readings++, soon };
  turns = 0;
  inTurn = () => undefined;
  await secondary.start({ largeFrameBytes: 64 * 1024 });
});

/** The frame with the large change, by its index. */
function large(): number {
  return history.frames.findIndex(({ bytes }) => bytes.length > 64 * 1024);
}

/** Sends all frames up to the large one, and sees to it that its preparation is under way. */
async function sendLarge(): Promise<ScriptedLink> {
  const link = await secondary.connect(history.hello());
  for (let index = 0; index < large(); index++) link.say(history.message(index));
  await simulation.pass(100);
  link.say(history.message(large()));
  expect(link.paused).toBe(true);
  expect(secondary.store.position).toEqual(history.frames[large()]!.header.base);
  return link;
}

test('a large frame is applied in many turns, and the frames behind it wait', async () => {
  const link = await sendLarge();
  turns = 0;
  const seen = new Set<unknown>();
  inTurn = () => seen.add(secondary.store.has('/large/k0') && secondary.store.has(`/large/k${MEMBERS - 1}`));
  for (let index = large() + 1; index < history.frames.length; index++) link.say(history.message(index));
  await simulation.pass(1_000);
  expect(turns).toBeGreaterThan(5);
  expect([...seen]).toEqual([false, true]);
  expect(secondary.store.digest).toBe(history.store.digest);
  expect(link.of('acknowledge').at(-1)).toMatchObject({ durable: history.store.position });
});

test('a large frame that came twice is applied once', async () => {
  const link = await sendLarge();
  link.say(history.message(large()));
  await simulation.pass(1_000);
  expect(link.closed).toBeUndefined();
  expect(secondary.store.position).toEqual(history.frames[large()]!.header.last);
});

test('a large frame with another digest is quarantined, and the tree stays', async () => {
  expectErrors('frame-quarantined');
  const link = await secondary.connect(history.hello());
  for (let index = 0; index < large(); index++) link.say(history.message(index));
  await simulation.pass(100);
  const { digest } = secondary.store;
  const frame = history.frames[large()]!;
  const wrong = sealFrame({ ...frame.header, digest: '0'.repeat(16) }, frameBody(frame));
  link.say({ type: 'frame', bytes: wrong.bytes });
  await simulation.pass(1_000);
  expect(secondary.consumer.state).toMatchObject({ state: 'quarantined', lastError: expect.stringMatching(/digest/) as string });
  expect(secondary.kept.map(({ bytes }) => bytes)).toEqual([wrong.bytes]);
  expect(link.closed?.reason).toBe('quarantined');
  expect([secondary.store.digest, secondary.store.position]).toEqual([digest, frame.header.base]);
});

test('a large frame is given up when another link takes the place of its own, and comes again there', async () => {
  const first = await sendLarge();
  const before = secondary.store.position;
  const link = await secondary.connect(history.hello());
  await simulation.pass(1_000);
  expect(first.closed?.reason).toBe('replaced');
  expect(secondary.store.position).toEqual(before);
  link.say(history.message(large()));
  await simulation.pass(1_000);
  expect(secondary.store.position).toEqual(history.frames[large()]!.header.last);
});

test('a large frame waits for room on a full disk, and is then applied', async () => {
  const link = await sendLarge();
  secondary.journal.setFull(true);
  await simulation.pass(1_000);
  expect(link.paused).toBe(true);
  secondary.journal.setFull(false);
  await simulation.pass(60_000);
  expect(secondary.store.position).toEqual(history.frames[large()]!.header.last);
});

test('a site that is promoted while it prepares a large frame takes nothing of it', async () => {
  const link = await sendLarge();
  const base = secondary.store.position;
  secondary.store.beginEpoch({ number: 2, id: '2'.repeat(16) }, 'promoted');
  await simulation.pass(1_000);
  expect(link.closed).toBeDefined();
  expect(secondary.store.has('/large')).toBe(false);
  expect(secondary.store.epochs.at(-1)).toMatchObject({ number: 2, base });
});

test('a site that closes while it prepares a large frame does not wait for that, and holds what it held', async () => {
  await sendLarge();
  const { position, digest } = secondary.store;
  turns = 0;
  await secondary.restart();
  expect([secondary.store.position, secondary.store.digest]).toEqual([position, digest]);
});

test('a commit is applied in many turns at a size that is applied at once in many small commits', async () => {
  const { clock } = secondary;
  secondary = new ScriptedSecondary(simulation);
  secondary.clock = clock;
  await secondary.start();
  const all = history.frames.length;
  // Keys that come again: a frame with many of its own is cut before it is so large.
  for (let index = 0; index < MEMBERS; index++) history.store.put(`/small/k${index % 500}`, { index });
  await history.grow(simulation, 1);
  const small = history.frames.findIndex(({ bytes }, index) => index >= all && bytes.length > 64 * 1024);
  expect(history.frames[small]!.header.count).toBeGreaterThan(100);
  const link = await secondary.connect(history.hello());
  const turnsOf = async (index: number): Promise<number> => {
    turns = 0;
    link.say(history.message(index));
    await simulation.pass(1_000);
    expect(secondary.store.position).toEqual(history.frames[index]!.header.last);
    return turns;
  };
  const taken: number[] = [];
  for (let index = 0; index <= small; index++) taken.push(await turnsOf(index));
  expect(taken[large()]! - taken[small]!).toBeGreaterThan(5);
});

test('many frames that come together leave others their turns', async () => {
  for (let index = 0; index < 20; index++) {
    history.store.put('/text', `${index}`.repeat(20_000));
    await history.grow(simulation, 1);
  }
  const small = new ScriptedSecondary(simulation);
  // Each frame takes a millisecond at least.
  let readings = 0;
  small.clock = { ...simulation.clock, monotonic: () => readings++ };
  await small.start();
  const link = await small.connect(history.hello());
  const positions = new Set<number>();
  simulation.clock.soon(function look() {
    positions.add(small.store.position.revision);
    if (small.store.position.revision < history.store.position.revision) simulation.clock.soon(look);
  });
  for (const index of history.frames.keys()) link.say(history.message(index));
  expect(link.paused).toBe(true);
  await simulation.pass(1_000);
  expect(positions.size).toBeGreaterThan(4);
  expect(small.store.digest).toBe(history.store.digest);
});
