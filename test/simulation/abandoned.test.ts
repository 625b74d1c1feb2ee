import { describe, expect, it } from 'vitest';
import { ORIGIN } from '@evertree/core';
import type { Epoch, EpochName, Store } from '@evertree/core';
import { judgeCommands, watchCommands } from './abandoned.ts';

const COMMAND = 'command0';
const HANDED: Epoch = epoch(1, 'a', 'first write', { end: { to: 'b', command: COMMAND } });
const BEGUN = epoch(2, 'b', 'switchover', { base: { epoch: 1, epochId: HANDED.id, revision: 5 } });

function epoch(number: number, site: string, reason: string, more: Partial<Epoch> = {}): Epoch {
  return { number, id: `${number}${site}`.padEnd(16, '0'), site, base: ORIGIN, reason, time: 0, ...more };
}

interface CommandCase {
  readonly abandoned?: readonly string[];
  readonly declined?: readonly string[];
  /** What anybody has told. */
  readonly told?: readonly Epoch[];
  /** The history that goes on. */
  readonly standing?: readonly Epoch[];
}

/** A world in which one command was given, and a site of it; `laws` are those that it says were broken. */
function worldOf({ abandoned = [], declined = [], told = [], standing = [] }: CommandCase) {
  const laws: string[] = [];
  const world = {
    operators: { abandoned },
    epochs: new Map(told.map(entry => [entry.id, entry])),
    sites: [{ running: { store: { epochs: standing } } }],
    violated: (law: string) => void laws.push(law),
  };
  const done: string[] = [];
  const store = {
    epochs: [HANDED],
    journal: { identity: { declined: new Set(declined) } },
    handOver: (_to: string, command: string) => void done.push(`hand over ${command}`),
    beginEpoch: (_epoch: EpochName, reason: string) => void done.push(`begin ${reason}`),
  } as unknown as Store;
  watchCommands(world, 'b', store);
  return { laws, world, store, done };
}

const NEXT = { number: 2, id: BEGUN.id };
const PROMOTED = epoch(2, 'c', 'promotion');

describe('a command that was abandoned', () => {
  it('is not handed over for', () => {
    const { laws, store, done } = worldOf({ abandoned: [COMMAND] });
    void store.handOver('b', COMMAND);
    expect(laws).toEqual(['abandoned']);
    expect(done).toEqual([`hand over ${COMMAND}`]);
  });

  it.each<[string, CommandCase, string, readonly string[]]>([
    ['is not begun for', { abandoned: [COMMAND] }, 'switchover', ['abandoned']],
    ['may be followed by a withdrawal', { abandoned: [COMMAND] }, 'switchover withdrawn', []],
    ['may be begun for by a target that has not heard of a promotion', { abandoned: [COMMAND], told: [PROMOTED] }, 'switchover', []],
    ['is not begun for by whoever declined it', { declined: [COMMAND], told: [PROMOTED] }, 'switchover', ['abandoned']],
    ['is another one', { abandoned: ['command1'], declined: ['command1'] }, 'switchover', []],
  ])('%s', (_what, situation, reason, broken) => {
    const { laws, store, done } = worldOf(situation);
    store.beginEpoch(NEXT, reason);
    expect(laws).toEqual(broken);
    expect(done).toEqual([`begin ${reason}`]);
  });

  it.each<[string, CommandCase, readonly string[]]>([
    ['is in no history that goes on', { told: [HANDED, BEGUN], standing: [HANDED, BEGUN] }, ['abandoned']],
    ['may be in one that a promotion superseded', { told: [HANDED, BEGUN], standing: [HANDED] }, []],
    [
      'may win against a promotion that follows the same handover',
      { told: [HANDED, BEGUN, { ...PROMOTED, base: BEGUN.base }], standing: [HANDED, BEGUN] },
      [],
    ],
    [
      'is not done after its old primary has gone on',
      { told: [HANDED, BEGUN, epoch(3, 'a', 'switchover withdrawn', { base: BEGUN.base })], standing: [HANDED, BEGUN] },
      ['abandoned'],
    ],
  ])('%s', (_what, situation, broken) => {
    const { laws, world } = worldOf({ abandoned: [COMMAND], ...situation });
    judgeCommands(world);
    expect(laws).toEqual(broken);
  });
});
