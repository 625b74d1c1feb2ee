import { describe, expect, it } from 'vitest';
import { EvertreeError, ORIGIN } from '@evertree/core';
import type { CloseReason, Epoch, ExactPosition } from '@evertree/core';
import type { Decision } from '../src/decision.ts';
import type { PeerAction, PeerEvent } from '../src/peer-event.ts';
import { Progress } from '../src/progress.ts';
import { readScripts } from '../../../test/support/scripts.ts';

const LIMITS = { windowBytes: 1000, windowFrames: 4, helloMs: 1, snapshotStallMs: 1, resends: 2 };

/**
 * Our history: epoch 1 ended at 200, epoch 2 is the present one. `450` is a revision in the epoch that it fell into,
 * `1-250` says which epoch is meant, `20x` is revision 20 in an epoch that was never ours.
 */
const EPOCHS: readonly Epoch[] = [epoch(1, ORIGIN), epoch(2, { epoch: 1, epochId: idOf(1), revision: 200 })];

function idOf(number: number): string {
  return String(number).repeat(16);
}

function epoch(number: number, base: ExactPosition): Epoch {
  return { number, id: idOf(number), site: 'a', base, reason: 'test', time: 0 };
}

function at(text: string): ExactPosition {
  const [, named, digits, other] = /^(?:(\d)-)?(\d+)(x?)$/.exec(text)!;
  const revision = Number(digits);
  const number = named === undefined ? (revision > 200 ? 2 : 1) : Number(named);
  if (revision === 0) return ORIGIN;
  return { epoch: number, epochId: other === 'x' ? 'f'.repeat(16) : idOf(number), revision };
}

const POSITION = at('5');
const OURS = { epochs: EPOCHS, last: at('500') };

function decisionOf([kind, first, second]: readonly string[]): { decision: Decision; position: ExactPosition } {
  switch (kind) {
    case 'replicate':
      return { decision: { kind, after: at(first!) }, position: at(first!) };
    case 'snapshot':
      return { decision: { kind, reason: { code: 'retention-passed', text: 'too old' } }, position: at(first!) };
    case 'offer':
      return {
        decision: { kind, base: at(second!), reason: { code: 'retention-passed', text: 'too old' } },
        position: at(first!),
      };
    case 'wait':
      return { decision: { kind, fork: at('200'), error: new EvertreeError('HISTORY_MISMATCH', 'parted') }, position: at(first!) };
    default: {
      const state = second as 'diverged';
      const error = new EvertreeError(kind === 'fence' ? 'FENCED' : 'HISTORY_MISMATCH', 'no');
      const fence = kind === 'fence' ? { fence: { epoch: { number: 9, id: idOf(9), begun: true }, error } } : {};
      return { decision: { kind: 'refuse', reason: first as CloseReason, state, error, ...fence }, position: POSITION };
    }
  }
}

function eventOf(line: string): PeerEvent {
  const [type, ...words] = line.split(' ') as [PeerEvent['type'], ...string[]];
  switch (type) {
    case 'linked':
      return { type, catchesUp: words[0] === 'catches-up' };
    case 'decided':
      return { type, ...decisionOf(words) };
    case 'sent':
      return { type, last: at(words[0]!), bytes: Number(words[1]), firstTime: 0, lastTime: 0 };
    case 'snapshot-begun':
      return { type, position: at(words[0]!) };
    case 'compacted':
      return { type, base: at(words[0]!) };
    case 'acknowledged':
      return { type, applied: at(words[0]!), durable: at(words[1]!), ours: OURS };
    case 'resend':
      return { type, after: at(words[0]!), ours: OURS };
    case 'heard':
      return { type, position: at(words[0]!), present: words[1] !== 'before' };
    case 'resyncing':
      return { type, reason: { code: 'retention-passed', text: 'too old' } };
    case 'recalled':
      return { type, time: Number(words[0]) };
    case 'unreachable':
      return { type, explanation: words.join(' ') };
    case 'lost':
      return { type, reason: words[0] as CloseReason, explanation: words.slice(2).join(' ') || 'gone', byPeer: words[1] === 'far' };
    default:
      return { type };
  }
}

function toldAction(action: PeerAction): string {
  switch (action.type) {
    case 'read':
      return `> read ${toldPosition(action.after)}`;
    case 'tell-beginning':
      return `> tell-beginning ${toldPosition(action.base)}`;
    case 'keep':
      return `> keep ${toldPosition(action.position)}`;
    case 'record':
      return `> record ${toldPosition(action.durable)}`;
    case 'send-snapshot':
      return `> send-snapshot ${action.reason.code} ${action.reason.text}`;
    case 'close':
      return `> close ${action.reason}`;
    case 'fence':
      return `> fence ${action.fence.error.code}${action.fence.epoch === undefined ? '' : ` epoch ${action.fence.epoch.number}`}`;
  }
}

/** As `at` reads it. */
function toldPosition(position: ExactPosition | undefined): string {
  if (position === undefined) return '-';
  const { revision, epoch: number, epochId } = position;
  if (epochId === 'f'.repeat(16)) return `${revision}x`;
  return revision === 0 || number === at(String(revision)).epoch ? String(revision) : `${number}-${revision}`;
}

function toldState(progress: Progress): string {
  const { state, applied, durable, hasRoom } = progress;
  return `= ${state} ${toldPosition(applied)} ${toldPosition(durable)} ${hasRoom ? 'room' : 'full'}`;
}

function toldRest({ since, takesPart, resyncs, lastError, oldestTime }: Progress): string {
  const copies = `${resyncs.count} copies${resyncs.lastReason === null ? '' : ` (${resyncs.lastReason})`}`;
  return `| ${takesPart ? 'takes part' : 'is away'} since ${since}, ${copies}, oldest ${oldestTime ?? '-'}, error: ${lastError ?? '-'}`;
}

/** What the script would be if every expectation in it were what really happens. */
function run(script: readonly string[]): string[] {
  const progress = new Progress('b', LIMITS, undefined, 0);
  return script.flatMap((line, index) => {
    if (line.startsWith('>')) return [];
    if (line.startsWith('=')) return [toldState(progress)];
    if (line.startsWith('|')) return [toldRest(progress)];
    return [line, ...progress.step(eventOf(line), index).map(toldAction)];
  });
}

describe("the primary's view of one secondary", () => {
  it.each(readScripts(new URL('progress.txt', import.meta.url)))('%s', (_name, script) => {
    expect(run(script)).toEqual(script);
  });
});

describe('how old the oldest commit is that a secondary does not hold', () => {
  it('comes from the frames in flight, then from those not sent, and is unknown when there are none', () => {
    const progress = new Progress('b', LIMITS, at('5'), 0);
    progress.step({ type: 'grown' }, 1000);
    progress.step({ type: 'grown' }, 1100);
    expect(progress.oldestTime).toBe(1000);
    progress.step(eventOf('linked'), 2000);
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

  it('is known after the link has ended', () => {
    const progress = new Progress('b', LIMITS, at('5'), 0);
    progress.step(eventOf('linked'), 0);
    progress.step(eventOf('decided replicate 5'), 0);
    progress.step({ type: 'sent', last: at('6'), bytes: 10, firstTime: 990, lastTime: 995 }, 1000);
    progress.step({ type: 'exhausted' }, 1000);
    progress.step(eventOf('lost silent near'), 2000);
    expect(progress.oldestTime).toBe(990);
  });
});

describe('a violation', () => {
  it('names the positions with the ids of their epochs: a revision alone does not tell two histories apart', () => {
    const progress = new Progress('b', LIMITS, undefined, 0);
    for (const event of ['linked', 'decided replicate 150', 'sent 180 10']) progress.step(eventOf(event), 0);
    expect(progress.step(eventOf('acknowledged 1-250 180'), 0)).toEqual([
      {
        type: 'close',
        reason: 'protocol-violation',
        explanation:
          'it acknowledges 1-250 (epoch 1111111111111111) as applied and 1-180 (epoch 1111111111111111) as durable, ' +
          'and this primary stands at 2-500 (epoch 2222222222222222)',
      },
    ]);
  });
});
