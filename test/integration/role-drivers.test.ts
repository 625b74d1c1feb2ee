import { Store } from '@evertree/core';
import { beforeEach, expect, test } from 'vitest';
import { ROLE_LIMITS } from '../../packages/evertree/src/roles/limits.ts';
import { Promoting } from '../../packages/evertree/src/roles/promoting.ts';
import type { RoleContext } from '../../packages/evertree/src/roles/role-context.ts';
import { Taking } from '../../packages/evertree/src/roles/taking.ts';
import { WrittenHistory } from '../support/scripted-secondary.ts';
import { Simulation } from '../support/simulation.ts';
import { VirtualJournal } from '../support/virtual-journal.ts';
import { VirtualStorage } from '../support/virtual-log.ts';

/** What the drivers of the roles wait for, on a virtual clock and a disk whose syncs take time. */

const COMMAND = 'switch-1';
/** Longer than a caller waits. */
const STALLED_MS = 10 * ROLE_LIMITS.maxPauseMs;

let simulation: Simulation;
let history: WrittenHistory;
let journal: VirtualJournal;
let store: Store;

beforeEach(async () => {
  simulation = new Simulation(5);
  history = await WrittenHistory.make(simulation, 'north', 3);
  journal = new VirtualJournal('south', new VirtualStorage(), simulation.clock);
  store = await Store.open({ journal, clock: simulation.clock, random: simulation.random });
  await simulation.during(store.follow());
});

async function takesAll(): Promise<void> {
  for (const frame of history.frames) store.applyFrame(frame);
  await simulation.during(store.flush());
}

function contextOf(): RoleContext {
  const nobody = { producer: undefined, consumer: undefined, followed: undefined, advertised: undefined };
  return { store, factory: {}, limits: ROLE_LIMITS, program: 'test', changed: () => undefined, ...nobody };
}

/** The history of north ends in its handover to south, and south has it. */
async function handedOver(): Promise<Taking> {
  const { store: north } = history;
  north.hold(COMMAND);
  await simulation.during(north.handOver('south', COMMAND));
  await takesAll();
  return new Taking(contextOf(), () => undefined);
}

test('a command that is given again at its target is answered when that one leads, durably', async () => {
  const taking = await handedOver();
  store.on('stable', () => taking.stable());
  const answer = taking.again(COMMAND);
  expect([store.standing, store.stable.position.epoch]).toEqual(['primary', 1]);
  await simulation.pass(100);
  expect(await answer).toBe(true);
  expect(store.stable.position.epoch).toBe(2);
});

test('a command that is given again at its target is answered in bounded time while the disk stalls, and by the next one when it is done', async () => {
  const taking = await handedOver();
  store.on('stable', () => taking.stable());
  journal.syncMs = STALLED_MS;
  const answers: boolean[] = [];
  const asks = () => void taking.again(COMMAND).then(leads => answers.push(leads));
  asks();
  await simulation.pass(ROLE_LIMITS.maxPauseMs - 1);
  expect(answers).toEqual([]);
  await simulation.pass(2);
  expect(answers).toEqual([false]);
  await simulation.pass(STALLED_MS - ROLE_LIMITS.maxPauseMs - 100);
  asks();
  await simulation.pass(200);
  expect(answers).toEqual([false, true]);
});

test('a promoter fixes the base of its epoch only after all that it has applied is durable', async () => {
  await takesAll();
  await history.grow(simulation, 1);
  journal.syncMs = STALLED_MS;
  store.applyFrame(history.frames.at(-1)!);
  const applied = store.position;
  const promoting = new Promoting(contextOf(), {});
  await simulation.during(promoting.begin('test'));
  await simulation.pass(STALLED_MS / 2);
  expect([promoting.step, store.position]).toEqual(['raising', applied]);
  await simulation.pass(STALLED_MS);
  expect([promoting.step, store.epochs.at(-1)?.base, store.stable.position]).toEqual(['beginning', applied, applied]);
  await simulation.pass(STALLED_MS);
  expect(await promoting.result).toMatchObject({ epoch: { number: 2 }, position: { epoch: 2, revision: applied.revision + 1 } });
});
