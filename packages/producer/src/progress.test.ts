import { describe, expect, it } from 'vitest';
import { EvertreeError } from '@evertree/core';
import type { CloseReason, ExactPosition } from '@evertree/core';
import type { Decision } from './decision.ts';
import type { PeerAction, PeerEvent } from './peer-event.ts';
import { Progress } from './progress.ts';

/*
 * Scripts: a line is an event; lines that begin with `>` are the actions that it must lead to, all of them, in order. `= …` checks the
 * state, what is applied and durable, and whether there is room for another frame. A position is a revision in epoch 1; `20x` is
 * revision 20 in another epoch.
 */
const LIMITS = { windowBytes: 1000, windowFrames: 4, helloMs: 1, snapshotStallMs: 1, resends: 2 };

const SCRIPTS: Record<string, string> = {
  'frames go out from the place that the hello told, and acknowledgements are recorded as they become durable': `
    linked
    = probe - - room
    decided replicate 20
    > record 20
    > read 20
    = replicate 20 20 room
    sent 21 100
    sent 22 100
    acknowledged 21 20
    = replicate 21 20 room
    acknowledged 22 21
    > record 21
    = replicate 22 21 room
    acknowledged 22 22
    > record 22`,
  'bytes that are not applied close the window, and what is applied opens it': `
    linked
    decided replicate 0
    > record 0
    > read 0
    sent 1 600
    = replicate 0 0 room
    sent 2 600
    = replicate 0 0 full
    acknowledged 1 0
    = replicate 1 0 room`,
  'a frame larger than the window goes out by itself': `
    linked
    decided replicate 0
    > record 0
    > read 0
    sent 1 5000
    = replicate 0 0 full
    acknowledged 1 1
    > record 1
    = replicate 1 1 room`,
  'frames that are not durable are counted, too': `
    linked
    decided replicate 0
    > record 0
    > read 0
    sent 1 1
    sent 2 1
    sent 3 1
    sent 4 1
    = replicate 0 0 full
    acknowledged 4 0
    = replicate 4 0 full
    acknowledged 4 1
    > record 1
    = replicate 4 1 room`,
  'a link that is lost is offline, and the next one begins from its hello': `
    linked
    decided replicate 5
    > record 5
    > read 5
    sent 6 900
    sent 7 900
    lost silent far
    = offline 5 5 room
    linked
    = probe 5 5 room
    decided replicate 6
    > record 6
    > read 6`,
  'a secondary that went back to an older copy is taken at its word': `
    linked
    decided replicate 9
    > record 9
    > read 9
    lost lost far
    linked
    decided replicate 4
    > record 4
    > read 4
    = replicate 4 4 room`,
  'what is acknowledged before the decision counts after it': `
    linked
    acknowledged 24 22
    = probe - - room
    decided replicate 20
    > record 20
    > read 20
    > record 22
    = replicate 24 22 room`,
  'a snapshot goes out, and frames follow once it is durable': `
    linked
    decided snapshot 3
    > keep 3
    > send-snapshot too old
    = snapshot 3 3 room
    snapshot-begun 50
    acknowledged 3 3
    = snapshot 3 3 room
    snapshot-sent
    acknowledged 50 50
    > record 50
    > read 50
    = replicate 50 50 room`,
  'a link that dies in the middle of a snapshot begins anew': `
    linked
    decided snapshot 0
    > keep 0
    > send-snapshot too old
    snapshot-begun 50
    lost lost far
    = offline 0 0 room
    linked
    decided snapshot 0
    > keep 0
    > send-snapshot too old
    snapshot-begun 60
    snapshot-sent
    acknowledged 60 60
    > record 60
    > read 60`,
  "a snapshot can't be acknowledged before it is sent": `
    linked
    decided snapshot 0
    > keep 0
    > send-snapshot too old
    snapshot-begun 50
    acknowledged 50 50
    > close protocol-violation`,
  'retention that overtakes the reader leads to a snapshot': `
    linked
    decided replicate 5
    > record 5
    > read 5
    sent 6 10
    compacted 40
    > send-snapshot its position 1-5 lies before what the journal keeps by now (from 1-40)
    = snapshot 5 5 room`,
  'a gap is filled from where the secondary stands': `
    linked
    decided replicate 5
    > record 5
    > read 5
    sent 6 10
    sent 7 10
    resend 5
    > read 5
    sent 6 10
    acknowledged 6 6
    > record 6
    = replicate 6 6 room`,
  'one who asks again and again without getting further is cut off': `
    linked
    decided replicate 5
    > record 5
    > read 5
    sent 6 10
    resend 5
    > read 5
    sent 6 10
    resend 5
    > read 5
    sent 6 10
    resend 5
    > close protocol-violation`,
  "frames beyond what was sent can't be asked for": `
    linked
    decided replicate 5
    > record 5
    > read 5
    resend 6
    > close protocol-violation`,
  'a request from a place where nothing is being sent is late, and ignored': `
    linked
    resend 5
    decided snapshot 5
    > keep 5
    > send-snapshot too old
    resend 5`,
  "what this primary never had can't be acknowledged": `
    linked
    decided replicate 5
    > record 5
    > read 5
    acknowledged 101 5
    > close protocol-violation
    = replicate 5 5 room`,
  'durable beyond applied is a lie': `
    linked
    decided replicate 5
    > record 5
    > read 5
    sent 6 10
    acknowledged 5 6
    > close protocol-violation`,
  'the right revision in the wrong epoch is a lie': `
    linked
    decided replicate 5
    > record 5
    > read 5
    sent 6 10
    acknowledged 6x 5
    > close protocol-violation
    = replicate 5 5 room`,
  'an old acknowledgement changes nothing': `
    linked
    decided replicate 5
    > record 5
    > read 5
    sent 6 10
    acknowledged 6 6
    > record 6
    acknowledged 5 5
    = replicate 6 6 room`,
  'a diverged peer stays so over its links, until a hello tells better': `
    linked
    decided refuse history-mismatch diverged
    > close history-mismatch
    = diverged 5 5 room
    lost history-mismatch near
    = diverged 5 5 room
    linked
    = diverged 5 5 room
    decided replicate 4
    > record 4
    > read 4
    = replicate 4 4 room`,
  'a secondary ahead takes the writes from this primary': `
    linked
    decided fence history-mismatch diverged
    > fence
    > close history-mismatch
    = diverged 5 5 room`,
  'a secondary that closes as fenced has met a higher epoch': `
    linked
    decided replicate 5
    > record 5
    > read 5
    lost fenced far
    > fence
    = fenced 5 5 room`,
  'a secondary that has a frame in quarantine is not offline': `
    linked
    decided replicate 5
    > record 5
    > read 5
    lost quarantined far
    = quarantined 5 5 room
    linked
    lost quarantined far
    = quarantined 5 5 room`,
};

function at(text: string): ExactPosition {
  const other = text.endsWith('x');
  return { epoch: 1, epochId: other ? 'ffffffffffffffff' : '1111111111111111', revision: Number.parseInt(text, 10) };
}

const PLACE = at('5');

function decisionOf([kind, first, second]: readonly string[]): { decision: Decision; position: ExactPosition } {
  switch (kind) {
    case 'replicate':
      return { decision: { kind, after: at(first!) }, position: at(first!) };
    case 'snapshot':
      return { decision: { kind, reason: 'too old' }, position: at(first!) };
    default: {
      const state = second as 'diverged';
      const error = new EvertreeError(kind === 'fence' ? 'FENCED' : 'HISTORY_MISMATCH', 'no');
      return { decision: { kind: 'refuse', reason: first as CloseReason, state, error, fence: kind === 'fence' }, position: PLACE };
    }
  }
}

function eventOf(line: string): PeerEvent {
  const [type, ...words] = line.split(' ') as [PeerEvent['type'], ...string[]];
  switch (type) {
    case 'decided':
      return { type, ...decisionOf(words) };
    case 'sent':
      return { type, last: at(words[0]!), bytes: Number(words[1]), firstTime: 0, lastTime: 0 };
    case 'snapshot-begun':
      return { type, position: at(words[0]!) };
    case 'compacted':
      return { type, base: at(words[0]!) };
    case 'acknowledged':
      return { type, applied: at(words[0]!), durable: at(words[1]!), stable: at('100') };
    case 'resend':
      return { type, after: at(words[0]!) };
    case 'lost':
      return { type, reason: words[0] as CloseReason, explanation: 'gone', byPeer: words[1] === 'far' };
    default:
      return { type };
  }
}

function toldAction(action: PeerAction): string {
  switch (action.type) {
    case 'read':
      return `> read ${action.after.revision}`;
    case 'keep':
      return `> keep ${action.position.revision}`;
    case 'record':
      return `> record ${action.durable.revision}`;
    case 'send-snapshot':
      return `> send-snapshot ${action.reason}`;
    case 'close':
      return `> close ${action.reason}`;
    case 'fence':
      return '> fence';
  }
}

function toldState(progress: Progress): string {
  const { state, applied, durable, hasRoom } = progress;
  return `= ${state} ${applied?.revision ?? '-'} ${durable?.revision ?? '-'} ${hasRoom ? 'room' : 'full'}`;
}

/** What the script would be if every expectation in it were what really happens. */
function run(script: readonly string[]): string[] {
  const progress = new Progress(LIMITS, undefined, 0);
  return script.flatMap((line, index) => {
    if (line.startsWith('>')) return [];
    if (line.startsWith('=')) return [toldState(progress)];
    return [line, ...progress.step(eventOf(line), index).map(toldAction)];
  });
}

describe("the primary's view of one secondary", () => {
  it.each(Object.entries(SCRIPTS))('%s', (_name, text) => {
    const script = text
      .trim()
      .split('\n')
      .map(line => line.trim());
    expect(run(script)).toEqual(script);
  });
});

describe('how old the oldest commit is that a secondary does not hold', () => {
  it('is told by the frames in flight, then by what is not sent, then by nothing', () => {
    const progress = new Progress(LIMITS, at('5'), 0);
    progress.step({ type: 'grown' }, 1000);
    progress.step({ type: 'grown' }, 1100);
    expect(progress.oldestTime).toBe(1000);
    progress.step({ type: 'linked' }, 2000);
    progress.step(eventOf('decided replicate 5'), 2000);
    progress.step({ type: 'sent', last: at('6'), bytes: 10, firstTime: 990, lastTime: 995 }, 2000);
    progress.step({ type: 'sent', last: at('7'), bytes: 10, firstTime: 996, lastTime: 1100 }, 2000);
    expect(progress.oldestTime).toBe(990);
    progress.step(eventOf('acknowledged 7 6'), 2100);
    expect(progress.oldestTime).toBe(996);
    progress.step(eventOf('acknowledged 7 7'), 2100);
    expect(progress.oldestTime).toBe(1100);
    progress.step({ type: 'exhausted' }, 2100);
    expect(progress.oldestTime).toBeUndefined();
  });

  it('outlives the link', () => {
    const progress = new Progress(LIMITS, at('5'), 0);
    progress.step({ type: 'linked' }, 0);
    progress.step(eventOf('decided replicate 5'), 0);
    progress.step({ type: 'sent', last: at('6'), bytes: 10, firstTime: 990, lastTime: 995 }, 1000);
    progress.step({ type: 'exhausted' }, 1000);
    progress.step(eventOf('lost silent near'), 2000);
    expect(progress.oldestTime).toBe(990);
  });
});
