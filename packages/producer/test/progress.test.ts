import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EvertreeError } from '@evertree/core';
import type { CloseReason, ExactPosition } from '@evertree/core';
import type { Decision } from '../src/decision.ts';
import type { PeerAction, PeerEvent } from '../src/peer-event.ts';
import { Progress } from '../src/progress.ts';

const LIMITS = { windowBytes: 1000, windowFrames: 4, helloMs: 1, snapshotStallMs: 1, resends: 2 };

/** A heading, and the lines below it. */
function readScripts(): [name: string, lines: string[]][] {
  const text = readFileSync(new URL('progress.txt', import.meta.url), 'utf8');
  return text
    .split(/^# /m)
    .slice(1)
    .map(part => {
      const [name, ...lines] = part.trim().split('\n');
      return [name!, lines];
    });
}

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
      return { decision: { kind, reason: { code: 'retention-passed', text: 'too old' } }, position: at(first!) };
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
      return `> send-snapshot ${action.reason.code} ${action.reason.text}`;
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
  it.each(readScripts())('%s', (_name, script) => {
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
