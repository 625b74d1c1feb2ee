import type { RoleMessage } from '@evertree/core';
import { ORIGIN } from '@evertree/core';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { expectErrors } from '../support/reports.ts';
import type { ScriptedLink } from '../support/scripted-link.ts';
import { ScriptedSecondary, WrittenHistory } from '../support/scripted-secondary.ts';
import { Simulation } from '../support/simulation.ts';

let simulation: Simulation;
/** Epoch 1, of the site a. */
let history: WrittenHistory;
let secondary: ScriptedSecondary;
let asked: [string, RoleMessage][];
let answer: (message: RoleMessage) => RoleMessage | undefined;

beforeEach(async () => {
  simulation = new Simulation(17);
  history = await WrittenHistory.make(simulation, 'a', 8);
  asked = [];
  answer = () => undefined;
  secondary = new ScriptedSecondary(simulation, {
    standby: true,
    role: (from, message, reply) => {
      asked.push([from, message]);
      const answered = answer(message);
      if (answered !== undefined) reply(answered);
    },
  });
  secondary.storage.role = 'secondary';
  await secondary.start();
});

/** The secondary follows `history` up to this many frames. */
async function follow(frames = history.frames.length): Promise<ScriptedLink> {
  const link = await secondary.connect(history.hello());
  for (let index = 0; index < frames; index++) link.say(history.message(index));
  await simulation.pass(50);
  expect(secondary.store.position).toEqual(history.frames[frames - 1]!.header.last);
  return link;
}

async function feed(link: ScriptedLink, from: WrittenHistory, index: number): Promise<void> {
  for (let at = index; at < from.frames.length; at++) link.say(from.message(at));
  await simulation.pass(50);
}

/** The site s leads: it followed `history` and was promoted at its end. */
async function lead(): Promise<void> {
  await follow();
  secondary.store.beginEpoch({ number: 2, id: '2'.repeat(16) }, 'promoted');
  await simulation.pass(50);
  expect(secondary.store.standing).toBe('primary');
}

const acknowledged = (link: ScriptedLink) => link.of('acknowledge').map(({ applied }) => applied.revision);

/** Until the result is resolved the secondary's journal does not keep a divergence. */
function holdKeeping(): PromiseWithResolvers<void> {
  const kept = Promise.withResolvers<void>();
  const { divergences } = secondary.journal;
  const keep = divergences.keep.bind(divergences);
  vi.spyOn(divergences, 'keep').mockImplementation(async (divergence, at) => {
    await kept.promise;
    return keep(divergence, at);
  });
  return kept;
}

describe('a secondary that is beyond the fork with its new primary', () => {
  it('keeps what lies behind the fork, goes back, asks for what follows, and follows', async () => {
    await follow();
    const { position, digest } = secondary.store;
    const later = await history.promoted(simulation, 'b', 5);
    await later.grow(simulation, 2);
    const link = await secondary.connect(later.hello(), 'there:2');
    await simulation.pass(50);
    expect(link.of('resend')).toEqual([{ type: 'resend', after: later.frames[4]!.header.last }]);
    expect(secondary.journal.divergences.list()).toMatchObject([{ last: position, commits: 4 }]);
    expect(acknowledged(link)).toEqual([]);
    await feed(link, later, 5);
    expect(secondary.store.digest).toBe(later.store.digest);
    expect(secondary.store.digest).not.toBe(digest);
    expect(acknowledged(link).at(-1)).toBe(later.store.position.revision);
    expect(secondary.events('history-rewound')).toMatchObject([
      { message: expect.stringMatching(/went back from 1-9 .* to 1-5 .*follow b; .*divergence/) },
    ]);
  });

  it('goes back only for an epoch that is stable at the primary', async () => {
    await follow();
    const later = await history.promoted(simulation, 'b', 5);
    const early = later.hello({
      position: later.frames[4]!.header.last,
      digest: later.frames[4]!.header.digest,
      epochs: history.store.epochs,
    });
    const link = await secondary.connect(early, 'there:2');
    await simulation.pass(50);
    expect([link.of('resend'), secondary.journal.divergences.list()]).toEqual([[], []]);
    expect(secondary.store.position).toEqual(history.store.position);
  });

  it('says nothing of its position before it has gone back, and says that it is going back', async () => {
    await follow();
    const later = await history.promoted(simulation, 'b', 5);
    const kept = holdKeeping();
    const link = await secondary.connect(later.hello(), 'there:2');
    await simulation.pass(50);
    link.setWritable(true);
    await simulation.pass(50);
    expect(secondary.consumer.state.state).toBe('rewinding');
    expect(secondary.store.position).toEqual(history.store.position);
    expect([acknowledged(link), link.of('resend')]).toEqual([[], []]);
    kept.resolve();
    await simulation.pass(50);
    expect(link.of('resend').length).toBe(1);
    expect(secondary.consumer.state.state).toBe('catching-up');
  });

  it('tells a newer link of the same primary that it has gone back, though it went for the older one', async () => {
    await follow();
    const later = await history.promoted(simulation, 'b', 5);
    const kept = holdKeeping();
    const old = await secondary.connect(later.hello(), 'there:2');
    await simulation.pass(50);
    const link = await secondary.connect(later.hello(), 'there:2');
    expect(link.of('hello').map(({ hello }) => hello.position)).toEqual([history.store.position]);
    kept.resolve();
    await simulation.pass(50);
    expect([old.of('resend'), link.of('resend')]).toEqual([[], [{ type: 'resend', after: later.frames[4]!.header.last }]]);
    await feed(link, later, 5);
    expect(secondary.store.digest).toBe(later.store.digest);
  });

  it('says its hello before it says that it has gone back, however long its journal takes', async () => {
    await follow();
    const later = await history.promoted(simulation, 'b', 5);
    const found = Promise.withResolvers<void>();
    const { log } = secondary.journal;
    const find = log.find.bind(log);
    vi.spyOn(log, 'find').mockImplementation(async (position, options) => {
      await found.promise;
      return find(position, options);
    });
    const link = await secondary.connect(later.hello(), 'there:2');
    await simulation.pass(50);
    expect(link.sent).toEqual([]);
    found.resolve();
    await simulation.pass(50);
    expect(link.sent.map(({ type }) => type).slice(0, 2)).toEqual(['hello', 'resend']);
  });

  it('stays where it is if what lies behind the fork can not be kept, and tries again with the next link', async () => {
    expectErrors('rewind-failed');
    await follow();
    const later = await history.promoted(simulation, 'b', 5);
    const spy = vi.spyOn(secondary.journal.divergences, 'keep').mockRejectedValueOnce(new Error('no room'));
    const link = await secondary.connect(later.hello(), 'there:2');
    await simulation.pass(50);
    expect(link.closed).toMatchObject({ reason: 'going-away', explanation: expect.stringMatching(/can't go back.*no room/) });
    expect(secondary.store.position).toEqual(history.store.position);
    const again = await secondary.connect(later.hello(), 'there:2');
    await simulation.pass(50);
    await feed(again, later, 5);
    expect(spy.mock.calls.length).toBe(2);
    expect(secondary.store.digest).toBe(later.store.digest);
  });

  it('asks for a full copy if its journal does not reach back, and keeps what it has before it takes that', async () => {
    await follow();
    await simulation.during(secondary.store.saveSnapshot());
    secondary.journal.compact();
    const later = await history.promoted(simulation, 'b', 5);
    await later.grow(simulation, 1);
    const link = await secondary.connect(later.hello(), 'there:2');
    await simulation.pass(50);
    expect(link.of('resend')).toEqual([{ type: 'resend', after: ORIGIN }]);
    const { header, chunks } = later.snapshot();
    link.say({ type: 'snapshot-begin', header, reason: { code: 'fork-passed', text: 'test' } });
    for (const bytes of chunks) link.say({ type: 'snapshot-chunk', bytes });
    link.say({ type: 'snapshot-end', chunks: chunks.length });
    await simulation.pass(50);
    expect(secondary.store.digest).toBe(later.store.digest);
    expect(secondary.journal.divergences.list()).toMatchObject([{ last: history.store.position, missing: {} }]);
    expect(acknowledged(link).at(-1)).toBe(header.position.revision);
  });

  it('takes a later epoch that begins inside its history on the same link, and goes back for it', async () => {
    const link = await follow();
    const later = await history.promoted(simulation, 'b', 5);
    await later.grow(simulation, 1);
    await feed(link, later, 5);
    expect(secondary.store.digest).toBe(later.store.digest);
    expect(secondary.journal.divergences.list()).toMatchObject([{ last: history.store.position }]);
  });
});

describe('a promise', () => {
  const raises = { number: 7, id: '77'.repeat(8) };

  async function ask(site = 'p'): Promise<ScriptedLink> {
    return secondary.connect(history.hello({ site, role: 'secondary', standing: 'secondary', raises }), 'promoter:1');
  }

  it('is asked for over a link that takes nobody’s place', async () => {
    const feeder = await follow();
    const link = await ask();
    const { position: at, digest } = secondary.store.stable;
    answer = () => ({ kind: 'promised', epoch: raises, position: at, digest, epochs: secondary.store.epochs, known: [] });
    link.say({ type: 'role', from: 'p', to: 's', message: { kind: 'raise', epoch: raises, epochs: history.store.epochs } });
    await simulation.pass(10);
    expect(asked).toMatchObject([['p', { kind: 'raise' }]]);
    expect(link.of('role')).toMatchObject([{ from: 's', to: 'p', message: { kind: 'promised', position: at } }]);
    expect(feeder.closed).toBeUndefined();
  });

  it('silences this site towards a primary of an older epoch, whose link closes with that epoch', async () => {
    const feeder = await follow(4);
    const told = acknowledged(feeder).length;
    await secondary.store.fence(raises, false);
    await simulation.pass(10);
    feeder.say(history.message(4));
    await simulation.pass(10);
    expect(acknowledged(feeder).length).toBe(told);
    expect(feeder.closed).toMatchObject({ reason: 'fenced', explanation: expect.stringMatching(/^epoch 7 (77){8} promised: /) });
    const again = await secondary.connect(history.hello());
    expect(again.closed).toMatchObject({
      reason: 'fenced',
      explanation: expect.stringMatching(/^epoch 7 (77){8} promised: a is the primary of epoch 1/),
    });
  });

  it('does not silence this site towards the site that it was given to', async () => {
    await follow(4);
    await simulation.during(secondary.store.fence({ number: 2, id: '2'.repeat(16) }, false));
    const later = await history.promoted(simulation, 'b', 7);
    const link = await secondary.connect(later.hello(), 'there:2');
    link.say(later.message(4));
    await simulation.pass(50);
    expect(acknowledged(link)).toContain(later.frames[4]!.header.last.revision);
    expect(secondary.journal.identity.fencedBy).toEqual({ number: 2, id: '2'.repeat(16), begun: false });
  });

  it('comes with frames for a promoter that is behind, up to where this site is stable', async () => {
    await follow();
    const link = await ask();
    link.say({ type: 'role', from: 'p', to: 's', message: { kind: 'lend', after: history.frames[5]!.header.last } });
    await simulation.pass(50);
    expect(link.of('frame').map(({ bytes }) => bytes)).toEqual(history.frames.slice(6).map(({ bytes }) => bytes));
    expect(asked).toEqual([]);
  });

  it('waits with frames for a promoter that does not read', async () => {
    await follow();
    const link = await ask();
    link.writable = false;
    link.say({ type: 'role', from: 'p', to: 's', message: { kind: 'lend', after: history.frames[5]!.header.last } });
    await simulation.pass(50);
    expect(link.of('frame')).toEqual([]);
    link.setWritable(true);
    await simulation.pass(50);
    expect(link.of('frame').length).toBe(history.frames.length - 6);
  });

  it.each<[string, () => void | Promise<void>, () => typeof ORIGIN]>([
    ['that are gone', () => secondary.journal.compact(), () => history.frames[2]!.header.last],
    ['of another history', () => undefined, () => ({ ...history.frames[2]!.header.last, epochId: '9'.repeat(16) })],
  ])('comes with no frames %s', async (_name, prepare, after) => {
    await follow();
    await simulation.during(secondary.store.saveSnapshot());
    await prepare();
    const link = await ask();
    link.say({ type: 'role', from: 'p', to: 's', message: { kind: 'lend', after: after() } });
    await simulation.pass(50);
    expect(link.of('role')).toMatchObject([{ message: { kind: 'not-lent' } }]);
    expect(link.of('frame')).toEqual([]);
  });

  it('is no business of a site that sends anything else, or speaks in another name', async () => {
    const link = await ask();
    link.say(history.message(0));
    expect(link.closed).toMatchObject({
      reason: 'protocol-violation',
      explanation: expect.stringMatching(/asks for a promise sends no frame/),
    });
    const other = await ask();
    other.say({ type: 'role', from: 'q', to: 's', message: { kind: 'ask', command: 'c' } });
    expect(other.closed).toMatchObject({ reason: 'protocol-violation', explanation: 'p speaks in the name of q' });
  });

  it('is asked for again over a newer link of the same site, which replaces the older one', async () => {
    const old = await ask();
    const link = await ask();
    await simulation.pass(10);
    expect(old.closed?.reason).toBe('replaced');
    expect(secondary.consumer.sendRole('p', { kind: 'ask', command: 'c' })).toBe(true);
    expect(link.of('role').length).toBe(1);
    link.lose('lost');
    expect(secondary.consumer.sendRole('p', { kind: 'ask', command: 'c' })).toBe(false);
  });
});

describe('the door of a primary', () => {
  it('tells the primary that it followed of its epoch, once that is stable, and closes its link', async () => {
    const link = await follow();
    secondary.journal.syncMs = 20;
    secondary.store.beginEpoch({ number: 2, id: '2'.repeat(16) }, 'promoted');
    await simulation.pass(10);
    expect(link.closed).toBeUndefined();
    await simulation.pass(50);
    expect(link.closed).toMatchObject({ reason: 'fenced', explanation: expect.stringMatching(/^epoch 2 2{16}: s has become the primary/) });
    expect(acknowledged(link).at(-1)).toBe(history.store.position.revision);
  });

  it('answers the hello of a lower epoch with its own, and closes as fenced', async () => {
    await lead();
    const rivals: unknown[] = [];
    secondary.consumer.on('rival', rival => void rivals.push(rival));
    const link = await secondary.connect(history.hello(), 'there:3');
    await simulation.pass(10);
    expect(link.of('hello').map(({ hello }) => [hello.role, hello.standing, hello.epochs.at(-1)?.number])).toEqual([
      ['primary', 'primary', 2],
    ]);
    expect(link.closed).toMatchObject({
      reason: 'fenced',
      explanation: expect.stringMatching(/^epoch 2 2{16}: a is the primary of epoch 1/),
    });
    expect(rivals).toMatchObject([{ site: 'a', remote: 'there:3', epoch: { number: 1 } }]);
    expect(() => secondary.store.put('/n', 'still written')).not.toThrow();
  });

  it('takes nothing from an older primary whose late frames arrive', async () => {
    await lead();
    const { position } = secondary.store;
    const link = await secondary.connect(history.hello(), 'there:3');
    link.say(history.message(3));
    await simulation.pass(10);
    expect(secondary.store.position).toEqual(position);
  });

  it('is fenced by a higher epoch, in memory first, then on disk, and answers only then', async () => {
    await lead();
    secondary.store.put('/n', 'beyond');
    await simulation.pass(50);
    const later = await history.promoted(simulation, 'b', history.frames.length, 3);
    const recorded = Promise.withResolvers<void>();
    const fence = secondary.journal.identity.fence.bind(secondary.journal.identity);
    vi.spyOn(secondary.journal.identity, 'fence').mockImplementation(async fencing => {
      await recorded.promise;
      await fence(fencing);
    });
    const link = await secondary.connect(later.hello(), 'there:3');
    await simulation.pass(10);
    expect(() => secondary.store.put('/n', 'refused')).toThrow(expect.objectContaining({ code: 'FENCED' }));
    expect([link.closed, link.of('resend')]).toEqual([undefined, []]);
    recorded.resolve();
    await simulation.pass(50);
    expect(link.of('resend')).toEqual([{ type: 'resend', after: history.store.position }]);
    await feed(link, later, history.frames.length);
    expect(secondary.store.digest).toBe(later.store.digest);
    expect(secondary.store.standing).toBe('secondary');
    expect(secondary.journal.divergences.list()).toMatchObject([{ commits: 1 }]);
    expect(secondary.consumer.state).toMatchObject({ state: 'replicating', primary: { site: 'b' } });
  });

  it('follows nobody if the disk can not record the higher epoch, and takes no writes', async () => {
    expectErrors('fence-not-recorded');
    await lead();
    const later = await history.promoted(simulation, 'b', history.frames.length, 3);
    vi.spyOn(secondary.journal.identity, 'fence').mockRejectedValue(new Error('no room'));
    const link = await secondary.connect(later.hello(), 'there:3');
    await simulation.pass(10);
    expect(link.closed).toMatchObject({
      reason: 'going-away',
      explanation: expect.stringMatching(/could not record that epoch 3 .*no room/),
    });
    expect(() => secondary.store.put('/n', 'refused')).toThrow(expect.objectContaining({ code: 'FENCED' }));
  });

  it('meets a copy of its own directory: the one that is behind takes no writes any more, nor after a restart', async () => {
    expectErrors('primary-refused');
    await lead();
    const { site, stream, stable, epochs } = secondary.store;
    const ahead = history.hello({ site, stream, epochs, ...stable, position: { ...stable.position, revision: 500 } });
    const behind = history.hello({ site, stream, epochs, ...stable });
    const first = await secondary.connect(behind, 'there:3');
    await simulation.pass(10);
    expect(first.closed?.reason).toBe('history-mismatch');
    expect(() => secondary.store.put('/n', 'still written')).not.toThrow();
    const second = await secondary.connect(ahead, 'there:3');
    await simulation.pass(10);
    expect(second.closed).toMatchObject({ reason: 'history-mismatch', explanation: expect.stringMatching(/is a copy of the other/) });
    expect(() => secondary.store.put('/n', 'refused')).toThrow(/is a copy of the other/);
    await secondary.restart();
    expect(() => secondary.store.put('/n', 'refused')).toThrow();
  });

  it('opens at a site that is primary only where the site may also follow', async () => {
    await lead();
    await secondary.restart();
    expect(secondary.store.standing).toBe('primary');
    expect(secondary.consumer.state.state).toBe('listening');
  });

  it('lets an empty primary follow whoever leads', async () => {
    const empty = new ScriptedSecondary(simulation, { standby: true });
    await empty.start();
    expect(empty.store.standing).toBe('primary');
    const link = await empty.connect(history.hello());
    await simulation.pass(10);
    await feed(link, history, 0);
    expect(empty.store.digest).toBe(history.store.digest);
    expect(empty.store.standing).toBe('secondary');
  });
});
