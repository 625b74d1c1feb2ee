import { beforeEach, describe, expect, it } from 'vitest';
import { PROTOCOL_VERSIONS, SITE } from '../seams/transport.ts';
import type { FarEnd, Hello, LinkEvents, Message } from '../seams/transport.ts';
import { ORIGIN } from '../position.ts';
import { strictReport } from '../../../../test/support/reports.ts';
import { ScriptedLink } from '../../../../test/support/scripted-link.ts';
import { Simulation } from '../../../../test/support/simulation.ts';
import { HeardEpochs } from '../store/heard-epochs.ts';
import { greet } from './greeting.ts';
import { refuseRole, refuseStream, refuseVersion } from './hello.ts';
import type { Host } from './hello.ts';

const STREAM = 'aa'.repeat(16);
const OTHER = 'bb'.repeat(16);

function hello(more: Partial<Hello> = {}): Hello {
  return {
    protocols: PROTOCOL_VERSIONS,
    program: 'test',
    site: 'there',
    role: 'secondary',
    stream: STREAM,
    position: ORIGIN,
    digest: 'd',
    epochs: [],
    durable: true,
    standing: 'secondary',
    standby: false,
    ...more,
  };
}

describe('a new link', () => {
  let simulation: Simulation;
  let link: ScriptedLink;
  let told: string[];
  let taken: Message[];
  let heard: HeardEpochs;

  beforeEach(() => {
    simulation = new Simulation(3);
    link = new ScriptedLink('there:1');
    told = [];
    taken = [];
    heard = new HeardEpochs({
      stream: STREAM,
      epochs: [],
      position: ORIGIN,
      fencedBy: undefined,
      journal: { identity: { site: 'here', heard: undefined, hear: async () => undefined } },
      clock: simulation.clock,
      report: strictReport,
    });
  });

  function receive(accepts = true): void {
    const taker: LinkEvents = {
      message: message => void taken.push(message),
      drained: () => void told.push('drained'),
      closed: reason => void told.push(`closed ${reason}`),
    };
    greet(link, {
      store: { clock: simulation.clock, heardEpochs: heard },
      helloMs: 100,
      meet: ({ site }) => {
        told.push(`met ${site}`);
        if (!accepts) link.close('refused', 'not wanted');
        return accepts ? taker : undefined;
      },
      left: reason => void told.push(`left ${reason}`),
    });
  }

  it('is handed over once the far end said hello, and later messages go to its new owner', async () => {
    receive();
    link.say({ type: 'hello', hello: hello() });
    link.say({ type: 'snapshot-end', chunks: 1 });
    link.setWritable(true);
    await simulation.pass(1000);
    link.lose('lost');
    expect(told).toEqual(['met there', 'drained', 'closed lost']);
    expect(taken).toEqual([{ type: 'snapshot-end', chunks: 1 }]);
  });

  it('that has room again before the hello tells nobody', () => {
    receive();
    link.setWritable(true);
    expect(told).toEqual([]);
    link.say({ type: 'hello', hello: hello() });
    expect(told).toEqual(['met there']);
  });

  it('is closed as silent if the far end says no hello', async () => {
    receive();
    await simulation.pass(99);
    expect(link.closed).toBeUndefined();
    await simulation.pass(2);
    expect(link.closed).toEqual({ reason: 'silent', explanation: 'no hello came within 100 ms' });
    expect(told).toEqual(['left silent']);
  });

  it('is closed as a violation if the far end begins with another message', async () => {
    receive();
    link.say({ type: 'snapshot-end', chunks: 1 });
    expect(link.closed).toMatchObject({ reason: 'protocol-violation', explanation: 'the first message is a hello, and not snapshot-end' });
    await simulation.pass(1000);
    expect(told).toEqual(['left protocol-violation']);
  });

  it('that is turned away delivers nothing more', () => {
    receive(false);
    link.say({ type: 'hello', hello: hello() });
    link.sayLate({ type: 'snapshot-end', chunks: 1 });
    expect(told).toEqual(['met there', 'left refused']);
    expect(taken).toEqual([]);
  });

  it('tells of epochs, also when it is turned away', () => {
    receive(false);
    link.say({ type: 'hello', hello: hello({ fencedBy: { number: 3, id: 'ee'.repeat(8), begun: false } }) });
    expect(heard.number).toBe(3);
  });

  it('is not waited for if it ends before the hello', async () => {
    receive();
    link.lose('lost');
    link.close = () => void told.push('closed by this end');
    await simulation.pass(1000);
    expect(told).toEqual(['left lost']);
  });
});

const PRIMARY: Host = { site: 'here', role: 'primary', stream: STREAM };
const SECONDARY: Host = { site: 'here', role: 'secondary', stream: STREAM };
const LOG: FarEnd = { kind: 'log', name: 'topic T', remedy: 'name another topic' };

describe('a hello', () => {
  it('is refused if the releases have no version in common, and both are named', () => {
    expect(refuseVersion(hello({ protocols: [2, 3] }))).toMatchObject({
      reason: 'protocol-unsupported',
      error: {
        code: 'FORMAT_UNSUPPORTED',
        message: expect.stringMatching(/^there speaks the protocol's versions 2, 3, this program 4:/) as string,
      },
    });
    expect(refuseVersion(hello({ protocols: [3, 4] }))).toBeUndefined();
  });

  it('is refused to a site of the same role', () => {
    expect(refuseRole(SECONDARY, hello())).toMatchObject({ reason: 'wrong-role', error: { code: 'WRONG_ROLE' } });
    expect(refuseRole(PRIMARY, hello({ role: 'primary' }))?.error.message).toMatch(/^there is a primary, as here is/);
    expect(refuseRole(PRIMARY, hello())).toBeUndefined();
  });

  it.each<[string, Host, Partial<Hello>, boolean]>([
    ['a secondary of our stream', PRIMARY, {}, true],
    ['a secondary that holds nothing', PRIMARY, { stream: null }, true],
    ['a secondary of another stream', PRIMARY, { stream: OTHER }, false],
    ['a secondary that holds something, at a primary without a commit', { ...PRIMARY, stream: null }, {}, false],
    ['a primary of our stream', SECONDARY, { role: 'primary' }, true],
    ['a primary of another stream', SECONDARY, { role: 'primary', stream: OTHER }, false],
    ['a primary without a commit, at a secondary that holds something', SECONDARY, { role: 'primary', stream: null }, false],
    ['any primary, at a secondary that holds nothing', { ...SECONDARY, stream: null }, { role: 'primary' }, true],
  ])('of %s is judged by the stream that the secondary holds', (_name, ours, more, accepted) => {
    const refused = refuseStream(ours, hello(more), SITE);
    expect(refused === undefined).toBe(accepted);
    if (accepted) return;
    expect(refused).toMatchObject({ reason: 'stream-mismatch', error: { code: 'STREAM_MISMATCH', details: { expected: ours.stream } } });
    expect(refused?.error.message).toMatch(/: check the addresses and the data directories;/);
  });

  it('of another stream is refused with the streams of both, as far as they have one', () => {
    const stranger = hello({ stream: OTHER });
    expect(refuseStream(PRIMARY, stranger, SITE)?.error.message).toMatch(
      `there holds the stream ${OTHER}, and here has the stream ${STREAM}:`,
    );
    expect(refuseStream({ ...PRIMARY, stream: null }, stranger, SITE)?.error.message).toMatch('and here has no commit yet');
  });

  it('of a log is refused with the remedy of its wire', () => {
    expect(refuseStream(PRIMARY, hello({ stream: OTHER }), LOG)?.error.message).toMatch(/: one stream has one log; name another topic$/);
  });
});
