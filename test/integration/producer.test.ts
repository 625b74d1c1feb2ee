import { EvertreeError, ORIGIN } from '@evertree/core';
import type { ExactPosition } from '@evertree/core';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ScriptedLink } from '../support/scripted-link.ts';
import { ScriptedPrimary } from '../support/scripted-primary.ts';
import { Simulation } from '../support/simulation.ts';
import { expectErrors } from '../support/reports.ts';

let simulation: Simulation;
let primary: ScriptedPrimary;

beforeEach(async () => {
  simulation = new Simulation(11);
  primary = new ScriptedPrimary(simulation, ['there:1', 'there:2']);
  await primary.start();
  await primary.commit(5);
});

function sentFrames(link: ScriptedLink): number {
  return link.of('frame').length;
}

async function acknowledge(link: ScriptedLink, site: string, applied: ExactPosition, durable = applied): Promise<void> {
  link.say({ type: 'acknowledge', site, applied, durable });
  await simulation.pass(10);
}

/** What a secondary does with a snapshot that it got. */
async function receive(link: ScriptedLink): Promise<ExactPosition> {
  const [begin] = link.of('snapshot-begin');
  expect(link.of('snapshot-end')).toEqual([{ type: 'snapshot-end', chunks: link.of('snapshot-chunk').length }]);
  await acknowledge(link, 'b', begin!.header.position);
  return begin!.header.position;
}

describe('a secondary', () => {
  it('gets the frames after its position, as they stand in the journal, and then each new one', async () => {
    const link = await primary.connect(primary.hello('b', 2));
    await primary.commit(2);
    expect(link.of('frame').map(({ bytes }) => bytes)).toEqual(primary.storage.frames.slice(3).map(({ frame }) => frame.bytes));
    await acknowledge(link, 'b', primary.ends.at(-1)!);
    expect(primary.peer('b')).toMatchObject({
      state: 'replicate',
      lagRevisions: 0,
      lagMs: 0,
      caughtUpInMs: 0,
      remote: 'there:1',
      lastError: null,
    });
  });

  it('gets no frame before it is stable here', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    primary.journal.syncMs = 50;
    primary.store.put('/n', 'new');
    primary.store.cut();
    await simulation.pass(40);
    expect(sentFrames(link)).toBe(0);
    await simulation.pass(40);
    expect(sentFrames(link)).toBe(1);
  });

  it('is told where this site stands as soon as there is a link', async () => {
    const link = primary.transport.connect('there:1');
    expect(link.of('hello')).toMatchObject([{ hello: { site: 'a', role: 'primary', ...primary.store.stable } }]);
    await simulation.pass(10_001);
    expect(link.closed?.reason).toBe('silent');
  });

  it('resolves waits for an acknowledgement when it holds the commit durably, and not before', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    const commit = primary.store.put('/n', 'waited for');
    const acknowledged: number[] = [];
    void commit.acknowledged(1).then(count => acknowledged.push(count));
    await primary.commit(1);
    const place = primary.ends.at(-1)!;
    await acknowledge(link, 'b', place, primary.ends[0]);
    expect(acknowledged).toEqual([]);
    await acknowledge(link, 'b', place);
    expect(acknowledged).toEqual([1]);
  });

  it('in memory makes no acknowledgement that counts', async () => {
    const link = await primary.connect(primary.hello('b', -1, { durable: false }));
    await primary.commit(1);
    await acknowledge(link, 'b', primary.ends.at(-1)!);
    expect(primary.journal.leases.of('peer').size).toBe(0);
    expect(primary.peer('b').lagRevisions).toBe(0);
  });

  it('that stops reading gets no more than the window, and the rest when it goes on', async () => {
    await primary.restart({ windowBytes: 3000 });
    await primary.commit(1);
    const link = await primary.connect(primary.hello('b', -1));
    await primary.commit(20, 500);
    expect(link.sentBytes).toBeGreaterThanOrEqual(3000);
    expect(link.sentBytes).toBeLessThan(3000 + 1000);
    const first = sentFrames(link);
    await acknowledge(link, 'b', primary.ends.at(-20 + first - 1)!, primary.ends[0]);
    expect(sentFrames(link)).toBe(2 * first);
  });

  it('is not written to while its link is full', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    link.setWritable(false);
    await primary.commit(3);
    expect(sentFrames(link)).toBe(0);
    link.setWritable(true);
    await simulation.pass(10);
    expect(sentFrames(link)).toBe(3);
  });

  it('that asks again gets the frames after its position', async () => {
    const link = await primary.connect(primary.hello('b', 1));
    const before = sentFrames(link);
    link.say({ type: 'resend', after: primary.ends[2]! });
    await simulation.pass(10);
    expect(
      link
        .of('frame')
        .slice(before)
        .map(({ bytes }) => bytes),
    ).toEqual(primary.storage.frames.slice(3).map(({ frame }) => frame.bytes));
  });

  it('has a lag in revisions and in the age of the oldest commit that it does not hold', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    await primary.commit(1);
    await simulation.pass(1000);
    await primary.commit(1);
    await simulation.pass(500);
    expect(primary.peer('b').lagRevisions).toBe(2);
    expect(primary.peer('b').lagMs).toBeGreaterThanOrEqual(1500);
    await acknowledge(link, 'b', primary.ends.at(-2)!);
    expect(primary.peer('b').lagRevisions).toBe(1);
    expect(primary.peer('b').lagMs).toBeLessThan(1000);
    link.lose('lost');
    await simulation.pass(5000);
    expect(primary.peer('b')).toMatchObject({ state: 'offline', lagRevisions: 1, lastError: 'lost: gone' });
    expect(primary.peer('b').lagMs).toBeGreaterThanOrEqual(5000);
  });

  it('that is away over a restart of the primary has a lag from the first commit that it missed', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    link.lose('lost');
    await primary.commit(2);
    await simulation.pass(3000);
    await primary.restart();
    await simulation.pass(2000);
    expect(primary.peer('b')).toMatchObject({ state: 'offline', lagRevisions: 2 });
    expect(primary.peer('b').lagMs).toBeGreaterThanOrEqual(5000);
  });

  it('that hangs, is slow or is dead delays neither commits nor the others', async () => {
    await primary.restart({ windowBytes: 3000 });
    await primary.commit(1);
    const hanging = await primary.connect(primary.hello('b', -1));
    hanging.setWritable(false);
    const dead = await primary.connect(primary.hello('d', -1), 'there:3');
    dead.lose('silent');
    const link = await primary.connect(primary.hello('c', -1), 'there:2');
    for (let index = 0; index < 30; index++) {
      await primary.commit(1, 500);
      await acknowledge(link, 'c', primary.ends.at(-1)!);
    }
    expect(primary.peer('c').lagRevisions).toBe(0);
    expect(primary.peer('b')).toMatchObject({ state: 'replicate', lagRevisions: 30 });
    expect(sentFrames(hanging)).toBe(0);
  });

  it.each([
    [
      'an acknowledgement in the name of another site',
      (link: ScriptedLink) => link.say({ type: 'acknowledge', site: 'c', applied: ORIGIN, durable: ORIGIN }),
    ],
    [
      'an acknowledgement of what this primary never had',
      (link: ScriptedLink) =>
        link.say({ type: 'acknowledge', site: 'b', applied: { ...primary.ends.at(-1)!, revision: 99 }, durable: ORIGIN }),
    ],
    ['a frame', (link: ScriptedLink) => link.say({ type: 'frame', bytes: primary.storage.frames[0]!.frame.bytes })],
    ['a second hello', (link: ScriptedLink) => link.say({ type: 'hello', hello: primary.hello('b', -1) })],
  ])('that sends %s is cut off', async (_name, say) => {
    const link = await primary.connect(primary.hello('b', -1));
    say(link);
    expect(link.closed?.reason).toBe('protocol-violation');
    expect(primary.peer('b')).toMatchObject({ state: 'offline', lastError: expect.stringContaining('protocol-violation') });
  });
});

describe('a far end that is refused at each dial', () => {
  it('is reported once, until it was accepted', async () => {
    const stranger = { stream: 'f'.repeat(32) };
    for (let dial = 0; dial < 3; dial++) await primary.connect(primary.hello('b', -1, stranger));
    const levels = () => primary.events('peer-lost').map(({ level }) => level);
    expect(levels()).toEqual(['warn', 'debug', 'debug']);
    const link = await primary.connect(primary.hello('b', -1));
    await acknowledge(link, 'b', primary.ends.at(-1)!);
    link.lose('lost');
    await primary.connect(primary.hello('b', -1, stranger));
    expect(levels().slice(3)).toEqual(['warn', 'warn']);
  });
});

describe('the list of peers', () => {
  it('lists a far end under its address until it says its name', async () => {
    expect(primary.producer.peers).toMatchObject([
      { site: 'there:1', remote: 'there:1', state: 'offline', position: null, lagRevisions: null, lagMs: null },
      { site: 'there:2', remote: 'there:2', state: 'offline' },
    ]);
    primary.transport.events!.failed('there:1', new Error('connection refused'), 50);
    expect(primary.peer('there:1').lastError).toBe('connection refused');
    const link = primary.transport.connect('there:1');
    expect(primary.peer('there:1').state).toBe('probe');
    link.say({ type: 'hello', hello: primary.hello('b', -1) });
    expect(primary.producer.peers.map(({ site }) => site)).toEqual(['b', 'there:2']);
  });

  it('keeps a lost peer, also over a restart, until it is forgotten', async () => {
    const link = await primary.connect(primary.hello('b', 2));
    await acknowledge(link, 'b', primary.ends[3]!);
    expect(primary.producer.forget('b')).toBe(false);
    link.lose('lost');
    expect(primary.peer('b')).toMatchObject({ state: 'offline', position: { revision: primary.ends[3]!.revision } });
    await primary.restart();
    expect(primary.peer('b')).toMatchObject({ state: 'offline', position: { revision: primary.ends[3]!.revision }, lagRevisions: 2 });
    expect(primary.producer.forget('b')).toBe(true);
    expect(primary.producer.forget('b')).toBe(false);
    expect(primary.producer.peers.map(({ site }) => site)).toEqual(['there:1', 'there:2']);
    expect(primary.journal.leases.of('peer').size).toBe(0);
  });

  it("does not count a forgotten secondary's acknowledgements", async () => {
    const link = await primary.connect(primary.hello('b', -1));
    const commit = primary.store.put('/n', 'held by b');
    await primary.commit(0);
    await acknowledge(link, 'b', primary.ends.at(-1)!);
    await expect(commit.acknowledged(1)).resolves.toBe(1);
    link.lose('lost');
    expect(primary.producer.forget('b')).toBe(true);
    const again = commit.acknowledged(1, { timeoutMs: 10 });
    await expect(primary.simulation.during(again)).rejects.toMatchObject({ code: 'ACKNOWLEDGEMENT_TIMEOUT', details: { acknowledged: 0 } });
  });

  it('refuses the second of two sites with one name, and reports that once, with both addresses', async () => {
    const first = await primary.connect(primary.hello('b', -1), 'there:1');
    const second = await primary.connect(primary.hello('b', -1), 'there:2');
    expect(first.closed?.reason).toBe('replaced');
    const third = await primary.connect(primary.hello('b', -1), 'there:1');
    expect(second.closed?.reason).toBe('replaced');
    for (let index = 0; index < 3; index++) {
      const refused = await primary.connect(primary.hello('b', -1), 'there:2');
      expect(refused.closed).toMatchObject({ reason: 'refused', explanation: expect.stringMatching(/b is linked from there:1.*--site/) });
      await primary.simulation.pass(50_000);
    }
    expect(third.closed).toBeUndefined();
    expect(primary.events('peer-named-twice').map(({ message }) => message)).toEqual([expect.stringMatching(/there:1.*there:2.*--site/)]);
    expect(primary.peer('b')).toMatchObject({ state: 'replicate', remote: 'there:1', lastError: expect.stringMatching(/two sites call/) });
  });

  it('takes a site at another address once its link from there has been quiet for a minute', async () => {
    for (const remote of ['there:1', 'there:2', 'there:1']) await primary.connect(primary.hello('b', -1), remote);
    await primary.simulation.pass(61_000);
    const moved = await primary.connect(primary.hello('b', -1), 'there:2');
    expect(moved.closed).toBeUndefined();
    expect(primary.peer('b').remote).toBe('there:2');
  });

  it('shows no lag of a secondary with a lease of another history', async () => {
    const { position } = primary.store;
    primary.journal.leases.hold('peer', 'ahead', { ...position, revision: 1_000_000 });
    primary.journal.leases.hold('peer', 'elsewhere', { epoch: 7, epochId: 'c'.repeat(16), revision: 2 });
    await primary.restart();
    for (const site of ['ahead', 'elsewhere']) {
      expect(primary.peer(site)).toMatchObject({ state: 'offline', lagRevisions: null, lagMs: null });
    }
  });

  it('has one entry for a pair whose secondary is away', async () => {
    const pair = new ScriptedPrimary(simulation, ['there:1']);
    await pair.start();
    await pair.commit(1);
    await pair.connect(pair.hello('b', -1));
    await pair.restart();
    pair.transport.events!.failed('there:1', new Error('connection refused'), 50);
    expect(pair.producer.peers).toMatchObject([{ site: 'b', remote: 'there:1', state: 'offline', lastError: 'connection refused' }]);
  });

  it('a site belongs to its newest link', async () => {
    const old = await primary.connect(primary.hello('b', -1));
    const link = await primary.connect(primary.hello('b', -1), 'there:2');
    expect(old.closed?.reason).toBe('replaced');
    old.sayLate({ type: 'acknowledge', site: 'b', applied: { ...ORIGIN, revision: 99 }, durable: ORIGIN });
    await primary.commit(1);
    expect([sentFrames(old), sentFrames(link)]).toEqual([0, 1]);
    expect(primary.peer('b')).toMatchObject({ state: 'replicate', remote: 'there:2' });
  });

  it('a link of another site with that name does not replace it', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    const impostor = await primary.connect(primary.hello('b', -1, { stream: 'ab'.repeat(16) }), 'there:2');
    expect(impostor.closed?.reason).toBe('stream-mismatch');
    expect(link.closed).toBeUndefined();
  });

  it('reports each change of state', async () => {
    const told: string[] = [];
    primary.producer.on('peer', ({ site, state }) => void told.push(`${site} ${state}`));
    const link = await primary.connect(primary.hello('b', 2));
    link.lose('quarantined', 'its digest differs');
    expect(told).toEqual(['b probe', 'b replicate', 'b quarantined']);
    expect(primary.peer('b').lastError).toBe('quarantined: its digest differs');
  });

  it('reports a transport that failed for ever', () => {
    const stopped: Error[] = [];
    primary.producer.on('stopped', error => void stopped.push(error));
    primary.transport.events!.failed('there:1', new Error('no'), 50);
    primary.transport.events!.failed('there:1', new Error('never'), Infinity);
    expect(stopped.map(error => error.message)).toEqual(['never']);
    expect(primary.events('peer-unreachable').map(({ level }) => level)).toEqual(['warn', 'debug']);
  });
});

describe('far ends that are ahead of this primary', () => {
  it('a secondary ahead of a primary that was started from an older copy fences it', async () => {
    expectErrors('primary-fenced');
    const { position } = primary.store;
    const link = await primary.connect(primary.hello('b', -1, { position: { ...position, revision: position.revision + 1 } }));
    expect(link.closed?.reason).toBe('history-mismatch');
    // How far it is behind can't be said: it is ahead.
    expect(primary.peer('b')).toMatchObject({ state: 'diverged', lagRevisions: null, lagMs: null, caughtUpInMs: null });
    expect(() => primary.store.put('/n', 1)).toThrow(/older copy.*start the newer copy/);
    expect(primary.events('primary-fenced').length).toBe(1);
    expect(primary.store.get('/n')).toBeDefined();
  });

  it('a secondary that knows a higher epoch fences this primary', async () => {
    expectErrors('primary-fenced');
    const higher = { number: 2, id: 'f'.repeat(16), site: 'c', base: primary.store.position, reason: 'test', time: 0 };
    const link = await primary.connect(primary.hello('b', -1, { epochs: [...primary.store.epochs, higher] }));
    expect(link.closed?.reason).toBe('fenced');
    expect(primary.peer('b').state).toBe('fenced');
    expect(() => primary.store.put('/n', 1)).toThrow(/epoch 2/);
  });

  it('the fence is recorded before the far end is answered, and writes are refused before that', async () => {
    expectErrors('primary-fenced');
    const recorded = Promise.withResolvers<void>();
    const recording = vi.spyOn(primary.journal.identity, 'fence').mockReturnValue(recorded.promise);
    const higher = { number: 2, id: 'f'.repeat(16), site: 'c', base: primary.store.position, reason: 'test', time: 0 };
    const link = await primary.connect(primary.hello('b', -1, { epochs: [...primary.store.epochs, higher] }));
    expect(recording.mock.calls).toEqual([[{ number: 2, id: higher.id, begun: true }]]);
    expect(() => primary.store.put('/n', 1)).toThrow(/epoch 2/);
    expect(link.closed).toBeUndefined();
    recorded.resolve();
    await primary.simulation.pass(1);
    expect(link.closed?.reason).toBe('fenced');
  });

  it('a fenced primary refuses writes after a restart, too, and says what to do', async () => {
    expectErrors('primary-fenced');
    const higher = { number: 2, id: 'f'.repeat(16), site: 'c', base: primary.store.position, reason: 'test', time: 0 };
    await primary.connect(primary.hello('b', -1, { epochs: [...primary.store.epochs, higher] }));
    await primary.restart();
    expect(() => primary.store.put('/n', 1)).toThrow(
      expect.objectContaining({
        code: 'FENCED',
        message: expect.stringMatching(/a takes no writes.*epoch 2.*Write there.*start it as a secondary/),
      }),
    );
    expect(primary.store.get('/n')).toBeDefined();
  });

  it('a secondary that closes right after its hello fences this primary durably all the same', async () => {
    expectErrors('primary-fenced');
    const higher = { number: 2, id: 'f'.repeat(16), site: 'c', base: primary.store.position, reason: 'test', time: 0 };
    const link = primary.transport.connect('there:1', primary.hello('b', -1, { epochs: [...primary.store.epochs, higher] }));
    link.lose('fenced', 'c has the place now');
    await simulation.pass(10);
    expect(primary.peer('b').state).toBe('fenced');
    expect(primary.events('primary-fenced')).toMatchObject([{ message: expect.stringMatching(/epoch 2/) }]);
    await primary.restart();
    expect(() => primary.store.put('/n', 1)).toThrow(/epoch 2/);
  });

  it('a linked secondary that has become the primary elsewhere takes the writes from it, though its old link lives', async () => {
    expectErrors('primary-fenced');
    await primary.connect(primary.hello('b', -1));
    const higher = { number: 2, id: 'f'.repeat(16), site: 'b', base: primary.store.position, reason: 'test', time: 0 };
    const epochs = [...primary.store.epochs, higher];
    const link = await primary.connect(primary.hello('b', -1, { epochs, role: 'primary' }), 'there:2');
    expect(link.closed?.reason).toBe('fenced');
    expect(() => primary.store.put('/n', 1)).toThrow(/epoch 2/);
  });

  it("a fenced primary refuses writes even if the disk can't record the fence, which is reported", async () => {
    expectErrors('primary-fenced', 'fence-not-recorded');
    vi.spyOn(primary.journal.identity, 'fence').mockRejectedValue(new EvertreeError('STORAGE_FULL', 'no room'));
    const higher = { number: 2, id: 'f'.repeat(16), site: 'c', base: primary.store.position, reason: 'test', time: 0 };
    const link = await primary.connect(primary.hello('b', -1, { epochs: [...primary.store.epochs, higher] }));
    expect(link.closed?.reason).toBe('fenced');
    expect(() => primary.store.put('/n', 1)).toThrow(/epoch 2/);
    expect(primary.events('fence-not-recorded')).toMatchObject([{ level: 'error', message: expect.stringMatching(/epoch 2 .*no room/) }]);
  });

  it('a secondary that a higher epoch feeds closes the link as fenced, and that fences this primary', async () => {
    expectErrors('primary-fenced');
    const link = await primary.connect(primary.hello('b', -1));
    link.lose('fenced', 'c has the place now');
    expect(primary.peer('b').state).toBe('fenced');
    expect(() => primary.store.put('/n', 1)).toThrow(/c has the place now/);
  });

  it('a secondary that answers an earlier hello with an epoch of this very primary does not fence it', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    const { number, id } = primary.store.epochs[0]!;
    link.lose('fenced', `epoch ${number} ${id}: the primary of epoch 0 is over`);
    expect(primary.peer('b').state).toBe('offline');
    primary.store.put('/n', 1);
    await primary.connect(primary.hello('b', -1));
    expect(primary.peer('b').state).toBe('replicate');
  });

  it('a secondary of another history changes nothing here, and is judged again at its next link', async () => {
    const link = await primary.connect(primary.hello('b', -1, { digest: 'e'.repeat(16) }));
    expect(link.closed?.reason).toBe('history-mismatch');
    expect(primary.peer('b')).toMatchObject({ state: 'diverged', position: primary.ends.at(-1)!.revision === 0 ? null : { epoch: 1 } });
    primary.store.put('/n', 1);
    await primary.connect(primary.hello('b', -1));
    expect(primary.peer('b').state).toBe('replicate');
  });

  it('a secondary has no producer', async () => {
    primary.storage.role = 'secondary';
    await expect(primary.restart()).rejects.toMatchObject({ code: 'WRONG_ROLE' });
  });
});

describe('a full copy', () => {
  beforeEach(async () => {
    await primary.simulation.during(primary.store.saveSnapshot());
    primary.journal.compact();
    await primary.commit(2);
  });

  it('goes to an empty secondary if the journal begins too late, with the reason, and frames follow it', async () => {
    const told: string[] = [];
    primary.producer.on('resync', ({ site, reason }) => void told.push(`${site}: ${reason.code}`));
    const link = await primary.connect(primary.hello('b'));
    const text = 'new secondary: it holds nothing yet, and the journal keeps what follows 1-6';
    const reason = { code: 'new-secondary', text };
    expect(link.of('snapshot-begin')).toMatchObject([
      { reason, header: { position: primary.store.position, digest: primary.store.digest } },
    ]);
    expect(primary.peer('b')).toMatchObject({ state: 'snapshot', resyncs: { count: 1, lastReason: text }, position: { revision: 0 } });
    expect(primary.journal.leases.of('peer').get('b')?.position).toEqual(ORIGIN);
    await primary.commit(1);
    expect(sentFrames(link)).toBe(0);
    await receive(link);
    expect(sentFrames(link)).toBe(1);
    expect(primary.peer('b').state).toBe('replicate');
    expect(told).toEqual(['b: new-secondary']);
    expect(primary.events('peer-resync').map(({ details }) => details)).toEqual([{ site: 'b', reason }]);
  });

  it('is of a position that is stable here', async () => {
    primary.journal.syncMs = 50;
    primary.store.put('/n', 'not stable yet');
    const link = await primary.connect(primary.hello('b'));
    await simulation.pass(30);
    expect(link.of('snapshot-begin')).toEqual([]);
    await simulation.pass(100);
    expect(link.of('snapshot-begin')[0]!.header.position).toEqual(primary.store.position);
  });

  it('begins again with the next link if its link ends in the middle', async () => {
    const first = primary.transport.connect('there:1');
    first.setWritable(false);
    first.say({ type: 'hello', hello: primary.hello('b') });
    await simulation.pass(10);
    first.lose('lost');
    await simulation.pass(10);
    const link = await primary.connect(primary.hello('b'));
    await receive(link);
    expect(primary.peer('b')).toMatchObject({ state: 'replicate', resyncs: { count: 2 } });
    expect(first.of('snapshot-chunk')).toEqual([]);
  });

  it('is not kept for ever for a far end that takes nothing', async () => {
    const link = primary.transport.connect('there:1');
    link.setWritable(false);
    link.say({ type: 'hello', hello: primary.hello('b') });
    await simulation.pass(59_000);
    expect(link.closed).toBeUndefined();
    await simulation.pass(2000);
    expect(link.closed?.reason).toBe('silent');
  });

  it('goes to a secondary if retention removes its next frame while it is fed', async () => {
    await primary.restart({ windowBytes: 1 });
    const link = await primary.connect(primary.hello('b', 0));
    expect(sentFrames(link)).toBe(1);
    const place = primary.ends[1]!;
    await primary.commit(2);
    await primary.simulation.during(primary.store.saveSnapshot());
    primary.journal.compact();
    await acknowledge(link, 'b', place);
    expect(link.of('snapshot-begin')).toMatchObject([
      { reason: { code: 'retention-passed', text: "b's position 1-8 lies before what the primary's journal keeps by now (from 1-11)" } },
    ]);
    await receive(link);
    expect(primary.peer('b').state).toBe('replicate');
    expect(primary.peer('b').resyncs.count).toBe(1);
  });
});

it('a primary tells once that it was closed, however often it is', async () => {
  let closed = 0;
  primary.producer.on('closed', () => closed++);
  await simulation.during(Promise.all([primary.producer.close(), primary.producer.close()]));
  await simulation.during(primary.producer.close());
  expect(closed).toBe(1);
});

describe('the event loop', () => {
  it('gets a turn after a loop has run for 4 ms, however much there is to send', async () => {
    let turns = 0;
    let reads = 0;
    // Each look at the clock takes a millisecond: a loop that never looks away would look thousands of times in one
    // turn.
    const { clock } = simulation;
    primary.clock = { ...clock, monotonic: () => reads++, soon: task => clock.soon(() => (turns++, task())) };
    await primary.restart();
    await primary.commit(400);
    turns = 0;
    const link = await primary.connect(primary.hello('b', 0));
    expect(sentFrames(link)).toBeGreaterThan(390);
    expect(turns).toBeGreaterThan(sentFrames(link) / 5);
  });
});
