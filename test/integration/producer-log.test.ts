import { ORIGIN } from '@evertree/core';
import type { ExactPosition, FarEnd, Hello, Reason } from '@evertree/core';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ScriptedLink } from '../support/scripted-link.ts';
import { ScriptedPrimary } from '../support/scripted-primary.ts';
import { Simulation } from '../support/simulation.ts';
import { expectErrors } from '../support/reports.ts';

const TOPIC = 'topic T';
const LOG: FarEnd = { kind: 'log', name: TOPIC, remedy: 'delete it with its .snapshot and .control' };
const ADDRESS = 'kafka://there:1/T';

let simulation: Simulation;
let primary: ScriptedPrimary;

beforeEach(async () => {
  simulation = new Simulation(12);
  primary = new ScriptedPrimary(simulation, [ADDRESS], LOG);
  await primary.start();
  await primary.commit(5);
});

/** What the topic says of itself, when it ends with this frame. */
function topic(frame?: number, more: Partial<Hello> = {}): Hello {
  return primary.hello(TOPIC, frame, { program: 'Apache Kafka', epochs: [], ...more });
}

function why(text: string): Reason {
  return { code: 'other', text };
}

async function acknowledge(link: ScriptedLink, site: string, applied: ExactPosition, durable = applied): Promise<void> {
  link.say({ type: 'acknowledge', site, applied, durable });
  await simulation.pass(10);
}

async function introduce(link: ScriptedLink, hello: Hello, present = true): Promise<void> {
  link.say({ type: 'reader', hello, present });
  await simulation.pass(10);
}

describe('a log', () => {
  it('is listed while it is away, under its own name', () => {
    expect(primary.producer.peers).toMatchObject([{ site: TOPIC, remote: ADDRESS, relay: true, through: null, state: 'offline' }]);
  });

  it('gets the frames after its end, and counts for retention, but not as a copy', async () => {
    const link = await primary.connect(topic(2));
    expect(link.of('frame').length).toBe(3);
    const commit = primary.store.put('/n', 'copied');
    let copies = 0;
    void commit.acknowledged(1).then(() => (copies += 1));
    await primary.commit(0);
    const last = primary.ends.at(-1)!;
    await acknowledge(link, TOPIC, last);
    expect(primary.peer(TOPIC)).toMatchObject({ state: 'replicate', lagRevisions: 0 });
    expect(primary.journal.leases.of('peer').get(TOPIC)?.position).toEqual(last);
    expect(copies).toBe(0);
    await introduce(link, primary.hello('b', 0));
    await acknowledge(link, 'b', last);
    expect(copies).toBe(1);
  });

  it('that is ahead of this primary in its own epoch fences it, and the remedy names topics', async () => {
    expectErrors('primary-fenced');
    const ahead = { ...primary.ends.at(-1)!, revision: 1_000_000 };
    const link = await primary.connect(topic(-1, { position: ahead }));
    expect(link.closed?.reason).toBe('history-mismatch');
    expect(link.closed?.explanation).toContain('.snapshot and .control');
    expect(() => primary.store.put('/n', 'refused')).toThrow(/older copy/);
  });

  it('that takes nothing of a reign gets a new link once a higher epoch has begun, whatever waits for it', async () => {
    expectErrors('reign-void');
    await primary.restart({ windowBytes: 1 });
    primary.producer.on('reign-void', above => primary.store.beginEpoch({ number: above + 1, id: '2'.repeat(16) }, 'claim'));
    const link = await primary.connect(topic(2));
    expect(link.of('frame').length).toBe(1);
    const { epoch: above } = primary.store.position;
    link.say({ type: 'reign-void', above, rival: { number: above, id: 'f'.repeat(16) }, explanation: 'another site came first' });
    await simulation.pass(100);
    expect(link.closed?.reason).toBe('going-away');
    expect(primary.store.stable.position.epoch).toBe(above + 1);
  });

  it('with frames of another stream is refused by name', async () => {
    const link = await primary.connect(topic(-1, { stream: 'f'.repeat(32) }));
    expect(link.closed?.reason).toBe('stream-mismatch');
    expect(primary.peer(TOPIC).lastError).toMatch(/one stream has one log; delete it with its .snapshot/);
  });

  it('gets a snapshot beside the frames when it wants one, and the frames go on meanwhile', async () => {
    const link = await primary.connect(topic(-1));
    link.say({ type: 'snapshot-wanted', id: 1, reason: why('retention comes near') });
    link.say({ type: 'snapshot-wanted', id: 2, reason: why('again') });
    await simulation.pass(50);
    expect(link.of('snapshot-begin')).toMatchObject([{ request: 1, reason: why('retention comes near') }]);
    expect(link.of('snapshot-end').length).toBe(1);
    await primary.commit(3);
    expect(link.of('frame').length).toBe(3);
    expect(primary.peer(TOPIC)).toMatchObject({ state: 'replicate', resyncs: { count: 0 } });
    link.say({ type: 'snapshot-wanted', id: 3, reason: why('later') });
    await simulation.pass(50);
    expect(link.of('snapshot-begin').length).toBe(2);
  });

  it('gets a snapshot even if it asked before its position was known', async () => {
    const link = primary.transport.connect(ADDRESS, topic(-1));
    link.say({ type: 'snapshot-wanted', id: 7, reason: why('early') });
    await simulation.pass(50);
    expect(link.of('snapshot-begin')).toMatchObject([{ request: 7, reason: why('early') }]);
  });

  it('can be asked for a snapshot over its link only', async () => {
    const direct = await primary.connect(primary.hello('b', -1), 'there:2');
    direct.say({ type: 'snapshot-wanted', id: 1, reason: why('why not') });
    expect(direct.closed?.reason).toBe('protocol-violation');
  });
});

describe('a reader', () => {
  let link: ScriptedLink;

  beforeEach(async () => {
    link = await primary.connect(topic(-1));
  });

  it('is listed with position and lag, through the log', async () => {
    await introduce(link, primary.hello('b', 1));
    expect(primary.peer('b')).toMatchObject({ state: 'replicate', relay: false, through: TOPIC, remote: ADDRESS, lagRevisions: 4 });
    await acknowledge(link, 'b', primary.ends.at(-1)!, primary.ends.at(-2));
    expect(primary.peer('b')).toMatchObject({ lagRevisions: 1, applied: { revision: primary.ends.at(-1)!.revision } });
    await acknowledge(link, 'b', primary.ends.at(-1)!);
    expect(primary.peer('b')).toMatchObject({ lagRevisions: 0, lagMs: 0, lastError: null });
    expect(primary.journal.leases.of('peer').get('b')?.position).toEqual(primary.ends.at(-1)!);
  });

  it('has the age of the oldest commit that it lacks as its lag', async () => {
    await introduce(link, primary.hello('b', -1));
    await primary.commit(1);
    const since = simulation.clock.now();
    await simulation.pass(500);
    await primary.commit(1);
    const { lagMs } = primary.peer('b');
    expect(lagMs).toBeGreaterThanOrEqual(500);
    expect(lagMs).toBeLessThanOrEqual(simulation.clock.now() - since + 60);
    await acknowledge(link, 'b', primary.ends.at(-2)!);
    expect(primary.peer('b').lagMs).toBeLessThan(100);
  });

  it('that is known only from the past is listed as offline, and as never heard', async () => {
    await introduce(link, primary.hello('b', 2), false);
    expect(primary.peer('b')).toMatchObject({ state: 'offline', lastSeen: null, lagRevisions: 3 });
    await introduce(link, primary.hello('b', 3));
    expect(primary.peer('b')).toMatchObject({ state: 'replicate', lagRevisions: 2 });
    expect(primary.peer('b').lastSeen).not.toBeNull();
  });

  it('that was not heard, or said goodbye, is offline with the reason', async () => {
    await introduce(link, primary.hello('b', -1));
    link.say({ type: 'reader-lost', site: 'b', reason: 'silent', explanation: 'nothing for three heartbeats' });
    expect(primary.peer('b')).toMatchObject({ state: 'offline', lastError: 'silent: nothing for three heartbeats' });
  });

  it.each([
    ['silent', 'offline'],
    ['quarantined', 'quarantined'],
  ] as const)('that is lost (%s) right after its hello stays so, and can be forgotten', async (reason, state) => {
    link.say({ type: 'reader', hello: primary.hello('b', 1), present: true });
    link.say({ type: 'reader-lost', site: 'b', reason, explanation: 'so soon' });
    await simulation.pass(10);
    expect(primary.peer('b')).toMatchObject({ state, lastError: `${reason}: so soon` });
    link.say({ type: 'reader', hello: primary.hello('b', 1), present: true });
    link.say({ type: 'reader-lost', site: 'b', reason, explanation: 'so soon' });
    expect(primary.producer.forget('b')).toBe(true);
    await simulation.pass(10);
    expect(primary.journal.leases.of('peer').has('b')).toBe(false);
    const copied = expect(primary.store.put('/n', 'alone').acknowledged(1, { timeoutMs: 1 })).rejects.toThrow(/0 of 1/);
    await simulation.pass(10);
    await copied;
  });

  it('in quarantine stays so until the decision on a hello is a better one', async () => {
    await introduce(link, primary.hello('b', -1));
    link.say({ type: 'reader-lost', site: 'b', reason: 'quarantined', explanation: 'a frame' });
    link.say({ type: 'reader-lost', site: 'b', reason: 'silent', explanation: 'gone' });
    expect(primary.peer('b').state).toBe('quarantined');
    await introduce(link, primary.hello('b', -1));
    expect(primary.peer('b').state).toBe('replicate');
  });

  it('of another history is diverged, and one that knows a higher epoch fences this primary', async () => {
    expectErrors('primary-fenced');
    await introduce(link, primary.hello('b', 1, { digest: 'e'.repeat(16) }));
    expect(primary.peer('b').state).toBe('diverged');
    expect(link.closed).toBeUndefined();
    const epochId = 'd'.repeat(16);
    const position = { epoch: 9, epochId, revision: 7 };
    const epochs = [{ number: 9, id: epochId, site: 'c', base: ORIGIN, reason: 'promoted', time: 1 }];
    await introduce(link, primary.hello('c', -1, { position, epochs }));
    expect(primary.peer('c').state).toBe('fenced');
    expect(() => primary.store.put('/n', 'refused')).toThrow(/epoch 9/);
  });

  it('that acknowledges a position of another history is diverged, and counts for nothing', async () => {
    await introduce(link, primary.hello('b', 1));
    await acknowledge(link, 'b', { epoch: 7, epochId: 'd'.repeat(16), revision: 1_000_000 });
    expect(primary.peer('b').state).toBe('diverged');
    expect(primary.journal.leases.of('peer').get('b')?.position.revision).toBe(primary.ends[1]!.revision);
    primary.store.put('/n', 'still a primary');
  });

  it('that acknowledges more of its reign than it has counts for nothing, and fences this primary', async () => {
    expectErrors('primary-fenced');
    await introduce(link, primary.hello('b', 1));
    await acknowledge(link, 'b', { ...primary.ends.at(-1)!, revision: 1_000_000 });
    expect(primary.peer('b').state).toBe('diverged');
    expect(primary.journal.leases.of('peer').get('b')?.position.revision).toBe(primary.ends[1]!.revision);
    expect(() => primary.store.put('/n', 'refused')).toThrow(/older copy/);
  });

  it('takes a snapshot for a reason that the status shows', async () => {
    await introduce(link, primary.hello('b', 1));
    link.say({ type: 'reader', hello: primary.hello('b', 1), present: true });
    link.say({ type: 'reader-resync', site: 'b', reason: why('retention has passed it by') });
    await simulation.pass(10);
    expect(primary.peer('b')).toMatchObject({ state: 'snapshot', resyncs: { count: 1, lastReason: 'retention has passed it by' } });
    expect(primary.events('peer-resync').length).toBe(1);
  });

  it('is offline while its log is away', async () => {
    await introduce(link, primary.hello('b', -1));
    link.lose('lost', 'the broker is gone');
    expect(primary.peer('b')).toMatchObject({ state: 'offline' });
    expect(primary.peer('b').lastError).toBe(`lost: ${TOPIC} is away`);
    expect(primary.peer(TOPIC).state).toBe('offline');
  });

  it('may get a link of its own, and read from the log again later', async () => {
    await introduce(link, primary.hello('b', -1));
    const direct = await primary.connect(primary.hello('b', -1), 'there:2');
    await introduce(link, primary.hello('b', -1));
    expect(primary.producer.peers.filter(peer => peer.site === 'b')).toMatchObject([
      { through: null, remote: 'there:2', state: 'replicate' },
    ]);
    direct.lose('going-away');
    await introduce(link, primary.hello('b', -1));
    expect(primary.producer.peers.filter(peer => peer.site === 'b')).toMatchObject([{ through: TOPIC, state: 'replicate' }]);
  });

  it('is listed after a restart of the primary, from the journal, then from the log, once', async () => {
    await introduce(link, primary.hello('b', -1));
    await primary.restart();
    expect(primary.peer('b').state).toBe('offline');
    const again = await primary.connect(topic(-1));
    await introduce(again, primary.hello('b', -1), false);
    expect(primary.producer.peers.filter(peer => peer.site === 'b')).toMatchObject([{ through: TOPIC, state: 'offline' }]);
  });

  it('can be forgotten while only the journal knows it: the log is told when it is back', async () => {
    await introduce(link, primary.hello('b', -1));
    await primary.restart();
    expect(primary.producer.forget('b')).toBe(true);
    expect(primary.producer.forget('nobody')).toBe(false);
    const again = await primary.connect(topic(-1));
    await introduce(again, primary.hello('b', -1), false);
    expect(again.of('forget')).toEqual([{ type: 'forget', site: 'b' }]);
    expect(primary.producer.peers.map(peer => peer.site)).toEqual([TOPIC]);
  });

  it('can be forgotten when it is gone, and at the log, too, even if the log is away then', async () => {
    await introduce(link, primary.hello('b', -1));
    expect(primary.producer.forget('b')).toBe(false);
    link.say({ type: 'reader-lost', site: 'b', reason: 'going-away', explanation: 'stops' });
    expect(primary.producer.forget('b')).toBe(true);
    expect(primary.producer.forget('b')).toBe(false);
    expect(link.of('forget')).toEqual([{ type: 'forget', site: 'b' }]);
    expect(primary.journal.leases.of('peer').has('b')).toBe(false);
    link.lose('lost');
    const again = await primary.connect(topic(-1));
    await introduce(again, primary.hello('b', -1), false);
    expect(again.of('forget').length).toBe(1);
    expect(primary.producer.peers.map(peer => peer.site)).toEqual([TOPIC]);
    await introduce(again, primary.hello('b', -1));
    expect(primary.peer('b').state).toBe('replicate');
  });
});
