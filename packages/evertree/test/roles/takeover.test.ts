import { describe, expect, it } from 'vitest';
import type { CommandStanding } from '../../src/roles/command-outcome.ts';
import { TakeoverMachine, type TakeoverAction, type TakeoverEvent } from '../../src/roles/takeover-machine.ts';
import { readScripts } from '../../../../test/support/scripts.ts';

const FACTS = { program: 'evertree', frameVersion: 2, reaches: ['north'], unreached: [], logs: [] };

function eventOf(line: string): TakeoverEvent {
  const [type, command = '', ...words] = line.split(' ') as [TakeoverEvent['type'], ...string[]];
  const standing = (/\((.*)\)/.exec(line)?.[1] ?? 'open') as CommandStanding;
  const dryRun = words.includes('dry');
  switch (type) {
    case 'prepare':
      return { type, from: 'north', command, dryRun, standing };
    case 'withdraw':
      return { type, from: 'north', command, standing };
    case 'cancel':
    case 'again':
      return { type, command, standing };
    case 'examined': {
      const codes = words.filter(word => word !== 'dry');
      return { type, from: 'north', command, dryRun, obstacles: codes.map(code => ({ code, text: code })), syncMs: 1, facts: FACTS };
    }
    case 'lost':
      return { type, from: command };
    case 'refused':
    case 'stable':
      return { type };
    default:
      return { type, command };
  }
}

function toldAction(action: TakeoverAction): string {
  switch (action.type) {
    case 'examine':
      return `> examine ${action.command}${action.dryRun ? ' dry' : ''}`;
    case 'consent': {
      const codes = action.obstacles.map(({ code }) => code).join(', ');
      return `> consent ${action.command} to ${action.to}${codes === '' ? '' : `: ${codes}`}`;
    }
    case 'tell-begun':
    case 'tell-declined':
      return `> ${action.type} ${action.command} to ${action.to}`;
    case 'forget':
      return '> forget';
    default:
      return `> ${action.type} ${action.command}`;
  }
}

describe('a switchover at its target', () => {
  it.each(readScripts(new URL('takeover.txt', import.meta.url)))('%s', (_name, lines) => {
    const takeover = new TakeoverMachine();
    const told = lines.flatMap(line => {
      if (line.startsWith('>')) return [];
      if (line.startsWith('=')) return [`= ${takeover.step}`];
      return [line, ...takeover.take(eventOf(line)).map(toldAction)];
    });
    expect(told).toEqual(lines);
  });
});
