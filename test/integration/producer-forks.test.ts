import { ORIGIN } from '@evertree/core';
import type { Epoch, ExactPosition, Hello } from '@evertree/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { expectErrors } from '../support/reports.ts';
import type { ScriptedLink } from '../support/scripted-link.ts';
import { ScriptedPrimary } from '../support/scripted-primary.ts';
import { Simulation } from '../support/simulation.ts';

/** A primary that was promoted at `fork`: its epoch 2 begins there. The far ends were in epoch 1 when it did. */
let simulation: Simulation;
let primary: ScriptedPrimary;
let fork: ExactPosition;
let before: readonly Epoch[];

beforeEach(async () => {
  simulation = new Simulation(12);
  primary = new ScriptedPrimary(simulation, ['there:1', 'there:2']);
  await primary.start();
  await primary.commit(5);
  fork = primary.store.position;
  before = primary.store.epochs;
  primary.store.beginEpoch({ number: 2, id: '22'.repeat(8) }, 'promoted');
  await primary.commit(3);
});

/** The hello of a site that went on in epoch 1 after the fork. */
function parted(site: string, more: Partial<Hello> = {}): Hello {
  const position = { ...fork, revision: fork.revision + 20 };
  return primary.hello(site, -1, { position, epochs: before, digest: 'e'.repeat(16), ...more });
}

async function say(link: ScriptedLink, message: Parameters<ScriptedLink['say']>[0]): Promise<void> {
  link.say(message);
  await simulation.pass(10);
}

const revisions = (link: ScriptedLink) => link.of('frame').map(({ parsed }) => parsed!.header.last.revision);

describe('a secondary whose history parted from ours, in a lower epoch', () => {
  it('is sent nothing and not closed, and gets the frames after the fork once it has gone back', async () => {
    const link = await primary.connect(parted('b'));
    await primary.commit(1);
    expect(link.closed).toBeUndefined();
    expect(link.sent.map(({ type }) => type)).toEqual(['hello']);
    expect(primary.peer('b')).toMatchObject({ state: 'diverged', lagRevisions: null, lastError: expect.stringMatching(/part at 1-6\./) });
    expect(() => primary.store.put('/n', 'goes on')).not.toThrow();
    await say(link, { type: 'resend', after: fork });
    expect(primary.peer('b')).toMatchObject({ state: 'replicate', lastError: null, position: { epoch: 1, revision: 6 } });
    expect(revisions(link)).toEqual([7, 8, 9, 10, 11, 12]);
  });

  it('counts for no commit and no lease by what it acknowledges before it has gone back', async () => {
    const link = await primary.connect(parted('b'));
    const ahead = { ...fork, revision: fork.revision + 20 };
    await say(link, { type: 'acknowledge', site: 'b', applied: ahead, durable: fork });
    const commit = primary.store.put('/n', 1);
    await simulation.pass(10);
    const waiting = expect(commit.acknowledged(1, { timeoutMs: 20 })).rejects.toMatchObject({ code: 'ACKNOWLEDGEMENT_TIMEOUT' });
    await simulation.pass(50);
    await waiting;
    // What follows the fork is kept for it, by the position that its hello told.
    expect(primary.journal.leases.of('peer').get('b')?.position).toEqual(parted('b').position);
    expect(link.closed).toBeUndefined();
  });

  it('that can not go back gets a full copy', async () => {
    const link = await primary.connect(parted('b'));
    await say(link, { type: 'resend', after: ORIGIN });
    expect(link.of('snapshot-begin')).toMatchObject([
      { reason: { code: 'fork-passed' }, header: { position: primary.store.position, epochs: primary.store.epochs } },
    ]);
    expect(primary.peer('b')).toMatchObject({ state: 'snapshot', resyncs: { count: 1 } });
  });

  it('is heard if it has gone back, or can not, before this primary has looked at its hello', async () => {
    for (const after of [ORIGIN, fork]) {
      const link = primary.transport.connect('there:1', parted('b'));
      link.say({ type: 'resend', after });
      await simulation.pass(10);
      expect(primary.peer('b').state).toBe(after === fork ? 'replicate' : 'snapshot');
      expect(link.of('snapshot-begin')).toHaveLength(after === fork ? 0 : 1);
    }
  });

  it('gets a full copy if this journal does not reach back to the fork', async () => {
    const hello = parted('b');
    await simulation.during(primary.store.saveSnapshot());
    primary.journal.compact();
    const link = await primary.connect(hello);
    await say(link, { type: 'resend', after: fork });
    expect(link.of('snapshot-begin')).toMatchObject([{ reason: { code: 'retention-passed' } }]);
  });

  it('that goes back to somewhere else violates the protocol', async () => {
    const link = await primary.connect(parted('b'));
    await say(link, { type: 'resend', after: { ...fork, revision: fork.revision + 1 } });
    expect(link.closed).toMatchObject({ reason: 'protocol-violation', explanation: expect.stringMatching(/^b went back to 1-7/) });
  });

  it('may be a primary until now, and follows over the same link', async () => {
    const link = await primary.connect(parted('b', { role: 'primary', standing: 'primary' }));
    expect(link.closed).toBeUndefined();
    expect(primary.peer('b')).toMatchObject({ state: 'diverged', said: { standing: 'primary', fencedBy: null } });
    await say(link, { type: 'resend', after: fork });
    expect(revisions(link)).toEqual([7, 8, 9, 10]);
  });

  it('may be one of two that are behind: each gets what follows its own position', async () => {
    const third = await primary.connect(parted('c'), 'there:1');
    const second = await primary.connect(primary.hello('b', 2, { epochs: before }), 'there:2');
    expect([revisions(third), revisions(second)]).toEqual([[], [4, 5, 6, 7, 8, 9, 10]]);
    expect([primary.peer('c').state, primary.peer('b').state]).toEqual(['diverged', 'replicate']);
  });
});

describe('a primary that hears of a higher epoch', () => {
  const higher: Epoch = { number: 3, id: 'f'.repeat(16), site: 'c', base: ORIGIN, reason: 'test', time: 0 };
  const knowing = () => primary.hello('b', -1, { epochs: [...primary.store.epochs, { ...higher, base: primary.store.position }] });

  it('says so once, however often the far end dials again', async () => {
    expectErrors('primary-fenced');
    for (let round = 0; round < 3; round++) await primary.connect(knowing());
    expect(primary.events('primary-fenced').map(({ level }) => level)).toEqual(['error', 'debug', 'debug']);
  });

  it('names the epoch to programs when it closes', async () => {
    expectErrors('primary-fenced');
    const link = await primary.connect(knowing());
    expect(link.closed).toMatchObject({ reason: 'fenced', explanation: expect.stringMatching(/^epoch 3 f{16}: b knows epoch 3/) });
  });

  it('is no error where this primary has handed over, and takes no word from those who want to know where to write', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    const { store } = primary;
    store.hold('switch-1');
    await simulation.during(store.handOver('b', 'switch-1'));
    const epoch = { number: 3, id: 'f'.repeat(16) };
    store.settle({
      kind: 'elsewhere',
      site: 'b',
      address: 'http://b:1',
      epoch,
      position: { ...store.position, epoch: 3, epochId: epoch.id },
    });
    void store.fence(epoch, true);
    link.lose('fenced', 'epoch 3 ffffffffffffffff: b is the primary');
    await simulation.pass(100);
    expect(primary.events('primary-fenced').map(({ level }) => level)).not.toContain('error');
    expect(store.standing).toBe('fenced');
    expect(store.stateReason).toMatchObject({ code: 'FENCED', details: { primary: 'b', address: 'http://b:1' } });
  });

  it('takes no writes after a restart either if it heard of it by the end of a link only', async () => {
    expectErrors('primary-fenced');
    const link = await primary.connect(primary.hello('b', -1));
    link.lose('fenced', 'epoch 3 ffffffffffffffff: c has the place now');
    await simulation.pass(10);
    expect(primary.journal.identity.fencedBy).toEqual({ number: 3, id: 'f'.repeat(16), begun: true });
    await primary.restart();
    expect(() => primary.store.put('/n', 1)).toThrow(/epoch 3/);
  });

  it('takes no writes for a promise that a secondary gave to another site', async () => {
    expectErrors('primary-fenced');
    const promised = { number: 3, id: 'f'.repeat(16), begun: false };
    const link = await primary.connect(primary.hello('b', -1, { fencedBy: promised }));
    expect(link.closed?.explanation).toMatch(/^epoch 3 f{16} promised: /);
    expect(primary.journal.identity.fencedBy).toEqual(promised);
    expect(() => primary.store.put('/n', 1)).toThrow(/has given a promise for epoch 3/);
    expect(primary.peer('b').said).toMatchObject({ standing: 'secondary', fencedBy: promised });
  });
});

describe('a primary that is empty', () => {
  it('takes no writes once it met a secondary that is not, and says what to do', async () => {
    expectErrors('primary-fenced');
    const empty = new ScriptedPrimary(simulation, ['there:1']);
    await empty.start();
    const link = await empty.connect(primary.hello('b', -1));
    expect(link.closed?.reason).toBe('stream-mismatch');
    expect(() => empty.store.put('/n', 1)).toThrow(/a is empty.*promote b.*mend the address/);
    expect(link.sent.map(({ type }) => type)).toEqual(['hello']);
  });
});

describe('what peers say about who leads', () => {
  it('goes to whoever decides, who answers on the same link', async () => {
    await primary.restart();
    const heard: [string, string][] = [];
    primary.heardRole = (from, message, reply) => {
      heard.push([from, message.kind]);
      expect(reply({ kind: 'declined', command: 'c1' })).toBe(true);
    };
    const link = await primary.connect(primary.hello('b', -1));
    await say(link, { type: 'role', from: 'b', to: 'a', message: { kind: 'withdraw', command: 'c1' } });
    expect(heard).toEqual([['b', 'withdraw']]);
    expect(primary.producer.sendRole('b', { kind: 'ask', command: 'c2' })).toBe(true);
    expect(primary.producer.sendRole('c', { kind: 'ask', command: 'c2' })).toBe(false);
    expect(link.of('role')).toEqual([
      { type: 'role', from: 'a', to: 'b', message: { kind: 'declined', command: 'c1' } },
      { type: 'role', from: 'a', to: 'b', message: { kind: 'ask', command: 'c2' } },
    ]);
  });

  it('is refused in the name of another site', async () => {
    const link = await primary.connect(primary.hello('b', -1));
    await say(link, { type: 'role', from: 'c', to: 'a', message: { kind: 'withdraw', command: 'c1' } });
    expect(link.closed).toMatchObject({ reason: 'protocol-violation', explanation: 'b speaks in the name of c' });
  });
});
