import { NO_CHAIN, frameBody, sealFrame } from '@evertree/core';
import type { Frame, Message, Reason, Store } from '@evertree/core';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ScriptedLink } from '../support/scripted-link.ts';
import { ScriptedSecondary, WrittenHistory } from '../support/scripted-secondary.ts';
import { Simulation } from '../support/simulation.ts';
import { expectErrors } from '../support/reports.ts';

const REASON: Reason = { code: 'retention-passed', text: 'for this test' };

let simulation: Simulation;
let history: WrittenHistory;
let secondary: ScriptedSecondary;

beforeEach(async () => {
  simulation = new Simulation(7);
  history = await WrittenHistory.make(simulation, 'a', 5);
  secondary = new ScriptedSecondary(simulation);
  await secondary.start();
});

function acknowledged(link: ScriptedLink): [applied: number, durable: number][] {
  return link.of('acknowledge').map(({ applied, durable }) => [applied.revision, durable.revision]);
}

function beginSnapshot(link: ScriptedLink): readonly Uint8Array[] {
  const { header, chunks } = history.snapshot();
  link.say({ type: 'snapshot-begin', header, reason: REASON });
  return chunks;
}

describe('frames at a secondary', () => {
  it('are applied in order, acknowledged as applied at once and as durable when they are', async () => {
    secondary.journal.syncMs = 20;
    const link = await secondary.connect(history.hello());
    const frames = history.frames;
    for (const index of frames.keys()) link.say(history.message(index));
    const last = frames.at(-1)!.header.last.revision;
    await simulation.pass(5);
    expect(acknowledged(link)).toEqual([[last, 0]]);
    await simulation.pass(100);
    expect(acknowledged(link).at(-1)).toEqual([last, last]);
    expect(secondary.store.digest).toBe(history.store.digest);
    expect(secondary.consumer.state).toMatchObject({ state: 'replicating', lag: { revisions: 0, ms: 0 } });
  });

  it('that are repeated change nothing and are acknowledged again', async () => {
    const link = await secondary.connect(history.hello());
    for (const index of [0, 1, 2, 0, 1, 2]) link.say(history.message(index));
    await simulation.pass(100);
    const { length } = link.of('acknowledge');
    link.say(history.message(1));
    await simulation.pass(100);
    expect(link.of('acknowledge').length).toBe(length + 1);
    expect(secondary.store.position).toEqual(history.frames[2]!.header.last);
    expect(link.closed).toBeUndefined();
  });

  it('that are repeated after a restart are recognised from the journal', async () => {
    const first = await secondary.connect(history.hello());
    for (const index of [0, 1, 2]) first.say(history.message(index));
    await simulation.pass(100);
    await secondary.restart();
    const link = await secondary.connect(history.hello());
    // The first two are looked up; the third waits for them.
    for (const index of [0, 1, 3]) link.say(history.message(index));
    await simulation.pass(100);
    expect(link.closed).toBeUndefined();
    expect(secondary.store.position).toEqual(history.frames[3]!.header.last);
  });

  it('that are missing are asked for once, and later frames are dropped until they follow', async () => {
    const link = await secondary.connect(history.hello());
    for (const index of [0, 2, 3, 4, 5]) link.say(history.message(index));
    await simulation.pass(100);
    expect(link.of('resend')).toEqual([{ type: 'resend', after: history.frames[0]!.header.last }]);
    expect(secondary.store.position).toEqual(history.frames[0]!.header.last);
    for (const index of [1, 2, 3, 4, 5]) link.say(history.message(index));
    await simulation.pass(100);
    expect(link.of('resend').length).toBe(1);
    expect(secondary.store.digest).toBe(history.store.digest);
  });

  it('of another history are refused with both positions, and change nothing', async () => {
    const other = await WrittenHistory.make(simulation, 'a', 5);
    const link = await secondary.connect(history.hello());
    for (const index of [0, 1]) link.say(history.message(index));
    await simulation.pass(100);
    const { digest } = secondary.store;
    const { header } = other.frames[2]!;
    link.say({ type: 'frame', bytes: sealFrame({ ...header, stream: history.store.stream! }, frameBody(other.frames[2]!)).bytes });
    await simulation.pass(100);
    expect(link.closed).toMatchObject({ reason: 'history-mismatch', explanation: expect.stringMatching(/1-2.*1-3.*1-2/) });
    expect(secondary.store.digest).toBe(digest);
    expect(secondary.consumer.state).toMatchObject({ state: 'offline', lastError: expect.stringContaining('history-mismatch') });
  });

  it('of another stream are refused', async () => {
    const other = await WrittenHistory.make(simulation, 'a', 5);
    const link = await secondary.connect(history.hello());
    link.say(history.message(0));
    link.say(other.message(0));
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('stream-mismatch');
  });
});

/** A frame that would follow, if this site followed anybody. */
function following({ stream, position, digest }: Store): Frame {
  const { epoch, epochId, revision } = position;
  const header = {
    codec: 'binary',
    beginsEpoch: false,
    endsEpoch: false,
    isMark: false,
    stream: stream!,
    epoch,
    epochId,
    base: position,
  } as const;
  const last = { epoch, epochId, revision: revision + 1 };
  const body = Buffer.of(0, 0);
  const rest = { last, digest, firstTime: 1, lastTime: 1, count: 1, previous: NO_CHAIN, bodyLength: body.length };
  return sealFrame({ ...header, ...rest }, body);
}

describe('a late frame after a change of role', () => {
  it('is refused, its link is closed, it is not quarantined, and the site reads on afterwards', async () => {
    const link = await secondary.connect(history.hello());
    link.say(history.message(0));
    await simulation.pass(100);
    secondary.store.beginEpoch({ number: 2, id: 'e'.repeat(16) }, 'promoted');
    const { position } = secondary.store;
    link.say({ type: 'frame', bytes: following(secondary.store).bytes });
    await simulation.pass(100);
    expect(link.closed).toMatchObject({ reason: 'wrong-role', explanation: expect.stringContaining('is a primary') });
    expect(secondary.kept).toEqual([]);
    expect(secondary.consumer.state).toMatchObject({ state: 'offline', lastError: expect.stringContaining('is a primary') });
    expect(secondary.store.position).toEqual(position);
    const later = await history.promoted(simulation, 'b', history.frames.length, 3);
    const again = await secondary.connect(later.hello());
    await simulation.pass(100);
    for (const index of later.frames.keys()) again.say(later.message(index));
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(later.store.digest);
  });

  it('is refused even if it is a snapshot', async () => {
    const link = await secondary.connect(history.hello());
    link.say(history.message(0));
    await simulation.pass(100);
    secondary.store.beginEpoch({ number: 2, id: 'e'.repeat(16) }, 'promoted');
    const { header } = history.snapshot();
    const later = { ...header, position: { ...secondary.store.position, revision: 400 }, epochs: secondary.store.epochs };
    link.say({ type: 'snapshot-begin', header: later, reason: REASON });
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('wrong-role');
    expect(secondary.consumer.state.state).toBe('offline');
  });
});

describe('quarantine', () => {
  const spoilt: readonly [name: string, spoil: (frame: Frame) => Uint8Array, code: string][] = [
    ['no frame at all', () => Buffer.from('not a frame'), 'FORMAT_INVALID'],
    ['a flipped bit', frame => flip(frame.bytes, 200 % frame.bytes.length), 'FORMAT_INVALID'],
    ['a truncated frame', frame => frame.bytes.subarray(0, frame.bytes.length - 3), 'FORMAT_INVALID'],
    ['a version of the future', frame => flip(frame.bytes, 4), 'FORMAT_UNSUPPORTED'],
    ['another digest', frame => sealFrame({ ...frame.header, digest: '0123456789abcdef' }, frameBody(frame)).bytes, 'DIGEST_MISMATCH'],
  ];

  it.each(spoilt)('takes %s, keeps it, and reads nothing after it', async (_name, spoil, code) => {
    expectErrors('frame-quarantined');
    const link = await secondary.connect(history.hello());
    for (const index of [0, 1]) link.say(history.message(index));
    await simulation.pass(100);
    const { digest, position } = secondary.store;
    const bytes = spoil(history.frames[2]!);
    link.say({ type: 'frame', bytes });
    link.sayLate(history.message(2));
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('quarantined');
    expect([secondary.store.digest, secondary.store.position]).toEqual([digest, position]);
    expect(secondary.kept).toMatchObject([{ bytes, error: { code } }]);
    const { last, count } = history.frames[2]!.header;
    const isReadable = code === 'DIGEST_MISMATCH';
    expect(secondary.consumer.heard?.unapplied, 'what a promotion knows of it').toEqual(
      isReadable ? { last, commits: count, paths: [expect.any(String)], authors: [] } : undefined,
    );
    expect(secondary.consumer.state).toMatchObject({ state: 'quarantined', lastError: secondary.kept[0]!.error.message });
    expect(secondary.reports.filter(report => report.event === 'frame-quarantined').length).toBe(1);
  });

  it("lasts even if the frame can't be kept for an operator", async () => {
    expectErrors('frame-quarantined');
    secondary.keepFails = true;
    const link = await secondary.connect(history.hello());
    link.say({ type: 'frame', bytes: Buffer.from('not a frame') });
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('quarantined');
    expect(secondary.reports.map(({ event }) => event)).toContain('frame-not-kept');
  });

  it('refuses every link with its reason, until a restart tries again', async () => {
    expectErrors('frame-quarantined');
    const link = await secondary.connect(history.hello());
    link.say({ type: 'frame', bytes: Buffer.from('not a frame') });
    await simulation.pass(100);
    const next = await secondary.connect(history.hello());
    expect(next.closed).toMatchObject({ reason: 'quarantined', explanation: expect.stringContaining('not a frame') });
    expect(secondary.consumer.state.state).toBe('quarantined');
    await secondary.restart();
    const mended = await secondary.connect(history.hello());
    for (const index of history.frames.keys()) mended.say(history.message(index));
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
  });
});

describe('the one primary', () => {
  it('is told where this site stands as soon as there is a link', async () => {
    const link = secondary.transport.connect('there:1');
    await simulation.pass(0);
    expect(link.of('hello')).toMatchObject([
      { hello: { site: 's', role: 'secondary', stream: null, durable: true, position: { revision: 0 } } },
    ]);
  });

  it("gets back the trailer of this site's last frame, also after a restart, and no other far end gets it", async () => {
    const link = await secondary.connect(history.hello());
    for (const index of [0, 1, 2]) link.say({ ...history.message(index), trailer: Buffer.from(`place ${index}`) });
    await simulation.pass(100);
    await secondary.restart();
    const next = secondary.transport.connect('there:1');
    await simulation.pass(10);
    const [hello] = next.of('hello');
    expect(hello?.hello.position).toEqual(history.frames[2]!.header.last);
    expect(Buffer.from(hello?.resume?.trailer ?? []).toString()).toBe('place 2');
    expect(hello?.resume?.time).toBe(history.frames[2]!.header.lastTime);
  });

  it('gets no trailer if there is none', async () => {
    await secondary.connect(history.hello());
    const link = secondary.transport.connect('there:2');
    await simulation.pass(10);
    expect(link.of('hello')[0]?.resume).toEqual({ trailer: undefined, time: undefined });
  });

  it('has its old link replaced by its new one, and late messages of the old one do nothing', async () => {
    const old = await secondary.connect(history.hello());
    old.say(history.message(0));
    const link = await secondary.connect(history.hello(), 'there:2');
    expect(old.closed?.reason).toBe('replaced');
    old.sayLate(history.message(1));
    await simulation.pass(100);
    expect(secondary.store.position).toEqual(history.frames[0]!.header.last);
    for (const index of [1, 2, 3, 4, 5]) link.say(history.message(index));
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
    expect(secondary.consumer.state.primary).toMatchObject({ site: 'a', remote: 'there:2' });
  });

  it('stays when another site dials, which is refused with the name of the present one', async () => {
    const link = await secondary.connect(history.hello());
    const other = await secondary.connect(history.hello({ site: 'b' }), 'elsewhere:1');
    expect(other.closed).toMatchObject({ reason: 'refused', explanation: expect.stringContaining('a (there:1)') });
    expect(link.closed).toBeUndefined();
  });

  it('of another history shows no lag: the two histories have no common measure', async () => {
    const link = await secondary.connect(history.hello());
    for (const index of history.frames.keys()) link.say(history.message(index));
    await simulation.pass(100);
    expect(secondary.consumer.state.lag).toEqual({ revisions: 0, ms: 0 });
    const [first] = history.store.epochs;
    const later = { ...first!, number: 9, id: 'e'.repeat(16), base: { ...history.store.position, revision: 3 } };
    const position = { epoch: 9, epochId: later.id, revision: 400 };
    await secondary.connect(history.hello({ position, epochs: [first!, later] }), 'there:2');
    expect(secondary.consumer.state.lag).toBeNull();
    const ahead = { ...later, base: history.store.position };
    await secondary.connect(history.hello({ position, epochs: [first!, ahead] }), 'there:3');
    expect(secondary.consumer.state.lag).toMatchObject({ revisions: 400 - history.store.position.revision });
  });

  it("learns of the higher epoch from this site's hello, which is sent before the link closes as fenced", async () => {
    const link = await secondary.connect(history.hello());
    for (const index of history.frames.keys()) link.say(history.message(index));
    await simulation.pass(100);
    const position = { epoch: 0, epochId: '0'.repeat(16), revision: 0 };
    const fenced = await secondary.connect(history.hello({ site: 'old', position, epochs: [] }), 'there:2');
    await simulation.pass(100);
    expect(fenced.closed?.reason).toBe('fenced');
    expect(fenced.of('hello').map(({ hello }) => hello.epochs)).toEqual([history.store.epochs]);
  });

  it('is replaced by a primary of a higher epoch, and its link closes as fenced', async () => {
    const link = await secondary.connect(history.hello());
    const { position } = history.store;
    const higher = { number: 2, id: 'f'.repeat(16), site: 'b', base: position, reason: 'test', time: 0 };
    const other = await secondary.connect(history.hello({ site: 'b', epochs: [...history.store.epochs, higher] }), 'elsewhere:1');
    expect(link.closed?.reason).toBe('fenced');
    expect(other.closed).toBeUndefined();
    expect(secondary.consumer.state.primary).toMatchObject({ site: 'b' });
  });

  it('says hello first and in time', async () => {
    const mute = await secondary.connect(history.hello());
    mute.lose('lost');
    const rude = secondary.transport.connect('there:1');
    rude.say(history.message(0));
    expect(rude.closed?.reason).toBe('protocol-violation');
    const silent = secondary.transport.connect('there:1');
    await simulation.pass(10_001);
    expect(silent.closed?.reason).toBe('silent');
    expect(secondary.store.position.revision).toBe(0);
  });

  it.each<Message>([
    {
      type: 'acknowledge',
      site: 'a',
      applied: { epoch: 1, epochId: '1'.repeat(16), revision: 1 },
      durable: { epoch: 1, epochId: '1'.repeat(16), revision: 1 },
    },
    { type: 'resend', after: { epoch: 1, epochId: '1'.repeat(16), revision: 1 } },
    { type: 'snapshot-chunk', bytes: Buffer.from('x') },
    { type: 'snapshot-end', chunks: 0 },
  ])('is cut off for a $type that has no business here', async message => {
    const link = await secondary.connect(history.hello());
    link.say(message);
    await simulation.pass(0);
    expect(link.closed?.reason).toBe('protocol-violation');
  });

  it('that goes away leaves the secondary offline, with the time of the last contact', async () => {
    const link = await secondary.connect(history.hello());
    link.lose('going-away', 'stopping');
    expect(secondary.consumer.state).toMatchObject({
      state: 'offline',
      primary: { site: 'a' },
      lastError: 'going-away: stopping',
      lastContact: 0,
    });
  });

  it('can never come once the transport has failed for ever', async () => {
    expectErrors('transport-failed');
    const stopped: Error[] = [];
    secondary.consumer.on('stopped', error => void stopped.push(error));
    secondary.transport.events!.failed('here:1', new Error('port in use'), 1000);
    expect(stopped).toEqual([]);
    secondary.transport.events!.failed('here:1', new Error('port in use'), Infinity);
    expect(stopped.length).toBe(1);
    expect(secondary.consumer.state.lastError).toContain('port in use');
  });

  it('is reported as unreachable once for several failures, and again after a primary came', async () => {
    const fail = (): void => secondary.transport.events!.failed('here:1', new Error('no broker'), 1000);
    const warned = (): number => secondary.reports.filter(({ event, level }) => event === 'transport-failed' && level === 'warn').length;
    for (let times = 0; times < 3; times++) fail();
    expect(warned()).toBe(1);
    (await secondary.connect(history.hello())).lose('lost');
    fail();
    expect(warned()).toBe(2);
  });
});

it('tells once that it was closed, however often it is', async () => {
  let closed = 0;
  secondary.consumer.on('closed', () => closed++);
  await simulation.during(Promise.all([secondary.consumer.close(), secondary.consumer.close()]));
  await simulation.during(secondary.consumer.close());
  expect(closed).toBe(1);
});

it('tells the epoch that its primary has begun since its hello', async () => {
  const begun = await WrittenHistory.make(simulation, 'a', 0);
  const link = await secondary.connect(begun.hello());
  expect(secondary.consumer.state.primary).toMatchObject({ site: 'a', epoch: 0 });
  const told: number[] = [];
  secondary.consumer.on('state', ({ primary }) => told.push(primary!.epoch));
  await begun.grow(simulation, 1);
  begun.frames.forEach((_, index) => link.say(begun.message(index)));
  await simulation.pass(10);
  expect(secondary.store.digest).toBe(begun.store.digest);
  expect(told).toContain(1);
  expect(secondary.consumer.state.primary).toMatchObject({ site: 'a', epoch: 1 });
});

describe("what a secondary can't take in yet", () => {
  it('waits at the primary while too much waits for the disk', async () => {
    await secondary.restart();
    await secondary.consumer.close();
    await secondary.start({ pendingBytes: history.frames[0]!.bytes.length });
    secondary.journal.syncMs = 50;
    const link = await secondary.connect(history.hello());
    for (const index of history.frames.keys()) link.say(history.message(index));
    expect(link.paused).toBe(true);
    expect(secondary.store.position).toEqual(history.frames[1]!.header.last);
    await simulation.pass(1000);
    expect(link.paused).toBe(false);
    expect(secondary.store.digest).toBe(history.store.digest);
  });

  it('waits while the disk is full, and no frame is asked for again or skipped', async () => {
    const link = await secondary.connect(history.hello());
    for (const index of [0, 1]) link.say(history.message(index));
    await simulation.pass(100);
    secondary.journal.setFull(true);
    for (const index of [2, 3, 4, 5]) link.say(history.message(index));
    await simulation.pass(1000);
    expect(link.paused).toBe(true);
    expect(secondary.store.position).toEqual(history.frames[1]!.header.last);
    secondary.journal.setFull(false);
    await simulation.pass(100);
    expect(link.paused).toBe(false);
    expect(link.of('resend')).toEqual([]);
    expect(secondary.store.digest).toBe(history.store.digest);
  });
});

describe('a snapshot at a secondary', () => {
  it('becomes the tree when all of it has come, and frames follow it', async () => {
    const link = await secondary.connect(history.hello());
    const chunks = beginSnapshot(link);
    for (const bytes of chunks) link.say({ type: 'snapshot-chunk', bytes });
    await simulation.pass(100);
    expect(secondary.store.position.revision).toBe(0);
    expect(secondary.consumer.state).toMatchObject({ state: 'snapshot', resyncs: { count: 1, lastReason: 'for this test' } });
    link.say({ type: 'snapshot-end', chunks: chunks.length });
    await simulation.pass(100);
    const { revision } = history.store.position;
    expect(secondary.store.digest).toBe(history.store.digest);
    expect(acknowledged(link)).toEqual([[revision, revision]]);
    await history.grow(simulation, 1);
    link.say(history.message(history.frames.length - 1));
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
    expect(secondary.consumer.state.state).toBe('replicating');
  });

  it('that is incomplete leaves no trace, and the next one is taken', async () => {
    const link = await secondary.connect(history.hello());
    const chunks = beginSnapshot(link);
    link.say({ type: 'snapshot-chunk', bytes: chunks[0]! });
    await simulation.pass(10);
    link.lose('lost');
    await simulation.pass(100);
    expect([secondary.store.position.revision, secondary.storage.snapshot, secondary.journal.unfinished]).toEqual([0, undefined, 0]);
    expect(secondary.consumer.state.state).toBe('offline');
    const next = await secondary.connect(history.hello());
    for (const bytes of beginSnapshot(next)) next.say({ type: 'snapshot-chunk', bytes });
    next.say({ type: 'snapshot-end', chunks: chunks.length });
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
  });

  it('allows no other message between its chunks', async () => {
    const link = await secondary.connect(history.hello());
    beginSnapshot(link);
    link.say(history.message(0));
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('protocol-violation');
    expect(secondary.store.position.revision).toBe(0);
  });

  it('with missing chunks is not taken', async () => {
    const link = await secondary.connect(history.hello());
    const chunks = beginSnapshot(link);
    for (const bytes of chunks) link.say({ type: 'snapshot-chunk', bytes });
    link.say({ type: 'snapshot-end', chunks: chunks.length + 1 });
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('protocol-violation');
    expect(secondary.store.position.revision).toBe(0);
  });

  it("with an unfinished file that can't be removed ends only its link, and that is reported", async () => {
    vi.spyOn(secondary.journal.snapshots, 'create').mockResolvedValue({
      write: () => Promise.reject(new Error('EIO: write')),
      commit: () => Promise.reject(new Error('EIO: commit')),
      abort: () => Promise.reject(new Error('EIO: unlink')),
    });
    for (const extra of [0, 1]) {
      const link = await secondary.connect(history.hello());
      const chunks = beginSnapshot(link);
      for (const bytes of chunks.slice(0, extra)) link.say({ type: 'snapshot-chunk', bytes });
      link.say({ type: 'snapshot-end', chunks: extra === 0 ? chunks.length : 1 });
      await simulation.pass(100);
      expect(link.closed?.reason).toBe(extra === 0 ? 'protocol-violation' : 'going-away');
    }
    const left = secondary.reports.filter(({ event }) => event === 'snapshot-left-over');
    expect(left.map(({ message }) => message)).toEqual(Array(2).fill(expect.stringMatching(/EIO: unlink/)));
  });

  it('with content that differs from its header is quarantined', async () => {
    expectErrors('frame-quarantined');
    const link = await secondary.connect(history.hello());
    const { header, chunks } = history.snapshot();
    link.say({ type: 'snapshot-begin', header: { ...header, digest: '0123456789abcdef' }, reason: REASON });
    for (const bytes of chunks) link.say({ type: 'snapshot-chunk', bytes });
    link.say({ type: 'snapshot-end', chunks: chunks.length });
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('quarantined');
    expect(secondary.consumer.state.state).toBe('quarantined');
    expect([secondary.store.position.revision, secondary.storage.snapshot]).toEqual([0, undefined]);
  });

  it('never removes commits that were acknowledged', async () => {
    const link = await secondary.connect(history.hello());
    const { header } = history.snapshot();
    await history.grow(simulation, 1);
    for (const index of history.frames.keys()) link.say(history.message(index));
    link.say({ type: 'snapshot-begin', header, reason: REASON });
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('history-mismatch');
    expect(secondary.store.digest).toBe(history.store.digest);
  });

  it('from a history that forked from this one, with a higher epoch, takes the place once what is lost by it is kept', async () => {
    const link = await secondary.connect(history.hello());
    for (const index of history.frames.keys()) link.say(history.message(index));
    await simulation.pass(100);
    const later = await history.promoted(simulation, 'b', 3, 9);
    await later.grow(simulation, 2);
    const { header, chunks } = later.snapshot();
    link.say({ type: 'snapshot-begin', header, reason: REASON });
    for (const bytes of chunks) link.say({ type: 'snapshot-chunk', bytes });
    await simulation.pass(100);
    expect(secondary.store.digest).toBe(history.store.digest);
    link.say({ type: 'snapshot-end', chunks: chunks.length });
    await simulation.pass(100);
    expect(link.closed).toBeUndefined();
    expect(secondary.store.digest).toBe(later.store.digest);
    expect(secondary.journal.divergences.list()).toMatchObject([{ base: { revision: 3 }, last: history.store.position, commits: 3 }]);
  });

  it('of an old link is aborted before a message of the new one is handled', async () => {
    const old = await secondary.connect(history.hello());
    const chunks = beginSnapshot(old);
    old.say({ type: 'snapshot-chunk', bytes: chunks[0]! });
    const link = await secondary.connect(history.hello(), 'there:2');
    for (const bytes of beginSnapshot(link)) link.say({ type: 'snapshot-chunk', bytes });
    link.say({ type: 'snapshot-end', chunks: chunks.length });
    await simulation.pass(1000);
    expect(old.closed?.reason).toBe('replaced');
    expect([secondary.journal.unfinished, secondary.journal.mostUnfinished]).toEqual([0, 1]);
    expect(secondary.store.digest).toBe(history.store.digest);
  });

  it('includes the frames before it: such a frame is a duplicate', async () => {
    const link = await secondary.connect(history.hello());
    for (const index of [0, 1]) link.say(history.message(index));
    const chunks = beginSnapshot(link);
    for (const bytes of chunks) link.say({ type: 'snapshot-chunk', bytes });
    link.say({ type: 'snapshot-end', chunks: chunks.length });
    await history.grow(simulation, 1);
    link.say(history.message(history.frames.length - 1));
    link.say(history.message(3));
    await simulation.pass(1000);
    expect(link.closed).toBeUndefined();
    expect(secondary.store.digest).toBe(history.store.digest);
  });
});

function flip(bytes: Uint8Array, index: number): Uint8Array {
  const spoilt = Uint8Array.from(bytes);
  spoilt[index]! ^= 8;
  return spoilt;
}
