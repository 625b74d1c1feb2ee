import { describe, expect, it } from 'vitest';
import { HandoverMachine, type HandoverAction, type HandoverEvent } from '../../src/roles/handover-machine.ts';
import { readScripts } from '../../../../test/support/scripts.ts';

const LIMITS = { maxPauseMs: 5_000, consentMs: 500, answerMs: 2_000 };

function eventOf(line: string): HandoverEvent {
  const [type, ...words] = line.split(' ') as [HandoverEvent['type'], ...string[]];
  const rest = words.join(' ');
  switch (type) {
    case 'consent':
      return { type, obstacles: words.map(code => ({ code, text: code })) };
    case 'begun':
      return { type, epoch: { number: Number(rest), id: 'bb'.repeat(8) } };
    case 'refused':
    case 'failed':
    case 'lost':
      return { type, why: rest };
    case 'settled':
      return { type, outcome: words[0] as 'done', why: words.slice(1).join(' ') };
    default:
      return { type };
  }
}

function toldAction(action: HandoverAction): string {
  switch (action.type) {
    case 'after':
      return `> after ${action.ms}`;
    case 'settle':
      return `> settle ${action.epoch.number}`;
    case 'answer': {
      const codes = action.obstacles.map(({ code }) => code).join(', ');
      return `> answer ${action.outcome}: ${action.why}${codes === '' ? '' : ` (${codes})`}`;
    }
    default:
      return `> ${action.type}`;
  }
}

describe('a switchover at the primary that gives', () => {
  it.each(readScripts(new URL('handover.txt', import.meta.url)))('%s', (_name, lines) => {
    let handover = new HandoverMachine('south', LIMITS);
    const told = lines.flatMap(line => {
      if (line.startsWith('>')) return [];
      if (line.startsWith('=')) return [`= ${handover.step}`];
      if (line === 'resumed') {
        handover = new HandoverMachine('south', LIMITS, true);
        return [line];
      }
      return [line, ...handover.take(eventOf(line)).map(toldAction)];
    });
    expect(told).toEqual(lines);
  });
});
