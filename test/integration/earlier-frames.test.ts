import { EvertreeError, ORIGIN, frameBody, sealFrame } from '@evertree/core';
import type { Frame, Message, Reason } from '@evertree/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { ScriptedLink } from '../support/scripted-link.ts';
import { ScriptedPrimary } from '../support/scripted-primary.ts';
import { ScriptedSecondary, WrittenHistory } from '../support/scripted-secondary.ts';
import { ScriptedSource } from '../support/scripted-source.ts';
import { Simulation } from '../support/simulation.ts';

const REASON: Reason = { code: 'retention-passed', text: 'for this test' };

let simulation: Simulation;
let history: WrittenHistory;
let source: ScriptedSource;
let secondary: ScriptedSecondary;

beforeEach(async () => {
  simulation = new Simulation(23);
  history = await WrittenHistory.make(simulation, 'a', 12);
  source = new ScriptedSource(() => history.frames);
  secondary = new ScriptedSecondary(simulation, { earlierFrames: source });
  await secondary.start();
});

/** A link on which the primary sent the first frames, and then told that it keeps what follows `kept` of them. */
async function passedBy(sent: number, kept: number): Promise<ScriptedLink> {
  const link = await secondary.connect(history.hello());
  for (let index = 0; index < sent; index++) link.say(history.message(index));
  tellBeginning(link, kept);
  await simulation.pass(100);
  return link;
}

function tellBeginning(link: ScriptedLink, kept: number): void {
  link.say(beginning(history, kept));
}

function beginning({ frames, store }: WrittenHistory, kept: number): Message {
  const { epochs, position: last } = store;
  return { type: 'history-begins', base: frames[kept - 1]!.header.last, epochs, last, reason: REASON };
}

function lastAcknowledged(link: ScriptedLink): readonly [applied: number, durable: number] {
  const { applied, durable } = link.of('acknowledge').at(-1)!;
  return [applied.revision, durable.revision];
}

describe('a secondary that its primary no longer reaches back to', () => {
  it('says that it can take history from elsewhere only if it knows of a place', async () => {
    const without = new ScriptedSecondary(simulation);
    await without.start();
    const [link, bare] = [await secondary.connect(history.hello()), await without.connect(history.hello())];
    expect([link, bare].map(each => each.of('hello')[0]!.hello.catchesUp)).toEqual([true, undefined]);
    expect([secondary, without].map(({ consumer }) => consumer.state.catchUps)).toEqual([{ done: 0, failed: 0, last: null }, null]);
  });

  it('takes the frames from elsewhere, acknowledges them, and asks the primary for what follows', async () => {
    const link = await passedBy(2, 8);
    const { last } = history.frames.at(-1)!.header;
    expect(source.asked).toMatchObject([
      { after: history.frames[1]!.header.last, base: history.frames[7]!.header.last, stream: history.store.stream, primary: { last } },
    ]);
    expect(secondary.store.digest).toBe(history.store.digest);
    expect(lastAcknowledged(link)).toEqual([last.revision, last.revision]);
    expect(link.of('resend')).toEqual([{ type: 'resend', after: last }]);
    const { state, resyncs, catchUps } = secondary.consumer.state;
    expect([state, resyncs.count]).toEqual(['replicating', 0]);
    expect(catchUps).toMatchObject({ done: 1, failed: 0, last: { source: 'the archive', state: 'done', frames: 11, error: null } });
    expect(secondary.events('catch-up-begun').length).toBe(1);
    expect(secondary.events('catch-up-done')[0]!.message).toMatch(/^11 frames .* from the archive brought s from 1-2 to 1-13$/);
    await history.grow(simulation, 1);
    link.say(history.message(13));
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
  });

  it('hears about who leads meanwhile, and shows how far it is', async () => {
    const gate = Promise.withResolvers<void>();
    source.before = index => (index === 3 ? gate.promise : undefined);
    const link = await passedBy(2, 8);
    expect(link.paused).toBe(false);
    expect(secondary.consumer.state).toMatchObject({ state: 'catching-up', catchUps: { last: { state: 'running', frames: 3 } } });
    expect(lastAcknowledged(link)[0]).toBe(history.frames[4]!.header.last.revision);
    gate.resolve();
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
  });

  it.each<[string, () => void, string]>([
    [
      'does not reach far enough',
      () => (source.frameList = () => history.frames.slice(0, 6)),
      'it leads to 1-6 only, and the primary keeps what follows 1-8',
    ],
    ['lacks a frame', () => (source.frameList = () => history.frames.filter((_, index) => index !== 4)), 'does not follow 1-4'],
    [
      'is away',
      () => {
        source.before = () => {
          throw new EvertreeError('UNREACHABLE', 'nobody answers there');
        };
      },
      'nobody answers there',
    ],
    ['is damaged', () => (source.frameList = () => history.frames.map((frame, at) => (at === 5 ? forged(frame) : frame))), 'digest'],
  ])('asks for the whole tree, and says why, if the other place %s', async (_name, prepare, words) => {
    prepare();
    const link = await passedBy(2, 8);
    const { state, catchUps } = secondary.consumer.state;
    expect(catchUps).toMatchObject({ done: 0, failed: 1, last: { state: 'failed', error: expect.stringContaining(words) } });
    expect(state).toBe('catching-up');
    expect(secondary.kept).toEqual([]);
    expect(secondary.events('catch-up-failed')[0]).toMatchObject({ level: 'warn', message: expect.stringContaining(words) });
    expect(link.of('resend')).toEqual([{ type: 'resend', after: secondary.store.position }]);
    // It is told once more, as it got further, and does not try a second time.
    tellBeginning(link, 8);
    await simulation.pass(100);
    expect([source.asked.length, link.of('resend').length]).toEqual([1, 2]);
    const { header, chunks } = history.snapshot();
    link.say({ type: 'snapshot-begin', header, reason: REASON });
    for (const bytes of chunks) link.say({ type: 'snapshot-chunk', bytes });
    link.say({ type: 'snapshot-end', chunks: chunks.length });
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
  });

  it('takes nothing from there that lies beside the history of its primary', async () => {
    const other = await history.promoted(simulation, 'b', 9);
    await other.grow(simulation, 5);
    source.frameList = () => other.frames;
    const link = await passedBy(2, 8);
    expect(secondary.store.position).toEqual(history.frames[8]!.header.last);
    expect(secondary.consumer.state.catchUps).toMatchObject({ done: 1 });
    expect(link.of('resend')).toEqual([{ type: 'resend', after: history.frames[8]!.header.last }]);
    expect(secondary.journal.divergences.list()).toEqual([]);
  });

  it('goes back to a fork first, and then takes what the new primary no longer keeps', async () => {
    const promoted = await history.promoted(simulation, 'b', 5);
    await promoted.grow(simulation, 10);
    const former = await secondary.connect(history.hello());
    for (let index = 0; index < 8; index++) former.say(history.message(index));
    await simulation.pass(100);
    former.lose('lost');
    source.frameList = () => promoted.frames;
    const link = await secondary.connect(promoted.hello());
    await simulation.pass(100);
    expect(link.of('resend')).toEqual([{ type: 'resend', after: history.frames[4]!.header.last }]);
    link.say(beginning(promoted, 10));
    await simulation.pass(100);
    expect(source.asked).toMatchObject([{ after: history.frames[4]!.header.last }]);
    expect(secondary.store.digest).toBe(promoted.store.digest);
    expect(secondary.journal.divergences.list().length).toBe(1);
    expect(lastAcknowledged(link)[1]).toBe(promoted.store.position.revision);
  });

  it('takes what was committed long after the link was made, also where nothing was committed then', async () => {
    const { store, frames } = history;
    const link = await secondary.connect(history.hello({ position: ORIGIN, digest: '0'.repeat(16), stream: null, epochs: [] }));
    for (const index of [0, 1]) link.say(history.message(index));
    tellBeginning(link, 8);
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(store.digest);
    expect(link.of('resend')).toEqual([{ type: 'resend', after: frames.at(-1)!.header.last }]);
  });

  it('waits while its disk is full, and skips nothing', async () => {
    secondary.journal.setFull(false);
    source.before = index => {
      if (index === 4) secondary.journal.setFull(true);
    };
    await passedBy(2, 8);
    await simulation.pass(1000);
    const waiting = secondary.store.position.revision;
    expect(waiting).toBeLessThan(history.store.position.revision);
    source.before = () => undefined;
    secondary.journal.setFull(false);
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
    expect(secondary.consumer.state.catchUps?.last?.state).toBe('done');
  });

  it('holds a bounded number of bytes that are not stable yet', async () => {
    await simulation.during(secondary.consumer.close());
    await simulation.during(secondary.store.close());
    await secondary.start({ pendingBytes: 400 });
    secondary.journal.syncMs = 50;
    let most = 0;
    source.before = () => void (most = Math.max(most, secondary.journal.log.pendingBytes));
    await passedBy(2, 8);
    await simulation.pass(2000);
    expect(secondary.store.digest).toBe(history.store.digest);
    expect(most).toBeLessThan(800);
  });

  it('ends at once when the link is lost or the site closes, and goes on from there with the next link', async () => {
    const never = new Promise<void>(() => undefined);
    source.before = index => (index === 3 ? never : undefined);
    const link = await passedBy(2, 8);
    link.lose('lost');
    await simulation.pass(10);
    expect(secondary.consumer.state.catchUps).toMatchObject({ done: 0, failed: 1, last: { state: 'failed' } });
    source.before = () => undefined;
    const next = await secondary.connect(history.hello());
    tellBeginning(next, 8);
    await simulation.pass(100);
    expect(source.asked.at(-1)!.after).toEqual(history.frames[4]!.header.last);
    expect(secondary.store.digest).toBe(history.store.digest);
    source.before = () => never;
    await history.grow(simulation, 3);
    tellBeginning(next, 15);
    await simulation.pass(10);
    await simulation.during(secondary.consumer.close());
    expect(secondary.consumer.state.catchUps?.last?.state).toBe('failed');
  });

  it('closes the link if frames come while it was not answered', async () => {
    source.before = () => new Promise<void>(() => undefined);
    const link = await passedBy(2, 8);
    link.say(history.message(2));
    await simulation.pass(10);
    expect(link.closed?.reason).toBe('protocol-violation');
  });
});

describe('a pair whose primary kept little', () => {
  let primary: ScriptedPrimary;

  beforeEach(async () => {
    primary = new ScriptedPrimary(simulation, ['there:1']);
    await primary.start();
    await primary.commit(5);
  });

  async function link(): Promise<ScriptedLink> {
    const near = primary.transport.connect('there:1');
    const far = secondary.transport.connect('here:1');
    ScriptedLink.join(near, far);
    // The primary said hello when its end was made.
    for (const message of near.sent) far.say(message);
    await simulation.pass(100);
    return near;
  }

  /** Commits while the secondary is away, and keeps only what comes last. */
  async function passBy(): Promise<readonly Frame[]> {
    const near = await link();
    near.lose('lost');
    await simulation.pass(10);
    await primary.commit(10);
    const frames = primary.storage.frames.map(({ frame }) => frame);
    await simulation.during(primary.store.saveSnapshot());
    primary.journal.compact();
    await primary.commit(2);
    return frames;
  }

  it('goes on by frames, and no snapshot is sent', async () => {
    const frames = await passBy();
    source.frameList = () => frames;
    const near = await link();
    expect(near.of('history-begins').length).toBe(1);
    expect(near.of('snapshot-begin')).toEqual([]);
    expect(primary.peer('s')).toMatchObject({ state: 'replicate', lastError: null, resyncs: { count: 0 }, lagRevisions: 0 });
    expect(secondary.consumer.state).toMatchObject({ state: 'replicating', resyncs: { count: 0 } });
    expect(secondary.store.digest).toBe(primary.store.digest);
  });

  it('shows at the primary what it waits for, and how far the secondary is', async () => {
    const frames = await passBy();
    source.frameList = () => frames;
    const gate = Promise.withResolvers<void>();
    source.before = index => (index === 4 ? gate.promise : undefined);
    await link();
    expect(primary.peer('s')).toMatchObject({
      state: 'probe',
      lastError: expect.stringContaining('It is waited for'),
      position: { revision: secondary.store.position.revision },
    });
    expect(primary.journal.leases.of('peer').get('s')?.position).toEqual(secondary.store.position);
    gate.resolve();
    await simulation.pass(100);
    expect(primary.peer('s').state).toBe('replicate');
  });

  it('goes on by the whole tree if the other place does not lead far enough', async () => {
    const frames = await passBy();
    source.frameList = () => frames.slice(0, 8);
    const near = await link();
    expect(near.of('history-begins').length).toBe(2);
    expect(near.of('snapshot-begin')).toMatchObject([{ reason: { code: 'retention-passed' } }]);
    expect(primary.peer('s')).toMatchObject({ state: 'replicate', resyncs: { count: 1 } });
    expect(secondary.store.digest).toBe(primary.store.digest);
  });
});

/** A sound frame with another digest than the tree will have. */
function forged(frame: Frame): Frame {
  return sealFrame({ ...frame.header, digest: 'f'.repeat(16) }, frameBody(frame));
}
