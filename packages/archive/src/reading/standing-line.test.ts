import { type Epoch, EvertreeError, ORIGIN } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import type { LineHistory, Restorable } from './line-history.ts';
import { standingLine } from './standing-line.ts';

const id = (letter: string) => letter.repeat(16);

/** A line that ends at a position such as `3b-12`: epoch number, letter of its id, revision. */
function line(name: string, end?: string): LineHistory {
  const match = end === undefined ? undefined : /^(\d)(\w)-(\d+)$/.exec(end)!;
  const to = match && { epoch: Number(match[1]), epochId: id(match[2]!), revision: Number(match[3]) };
  const states = to === undefined ? [] : [{ to, toTime: to.revision } as Restorable];
  return { id: name, states } as unknown as LineHistory;
}

function epochs(...names: readonly string[]): Epoch[] {
  return names.map(name => ({ number: Number(name[0]), id: id(name[1]!), site: 's', base: ORIGIN, reason: 'r', time: 1 }));
}

async function standing(lines: readonly LineHistory[], tables: Readonly<Record<string, Epoch[] | EvertreeError>> = {}) {
  const found = await standingLine(lines, async ({ id: name }) => {
    const table = tables[name];
    if (table === undefined) throw new Error(`the table of ${name} was asked for`);
    if (table instanceof EvertreeError) throw table;
    return table;
  });
  return found?.id;
}

describe('the line that stands', () => {
  it('ends in the highest epoch, however far others go', async () => {
    expect(await standing([line('former', '1a-900'), line('present', '2b-500')])).toBe('present');
  });

  it('goes furthest within one epoch', async () => {
    expect(await standing([line('behind', '2b-499'), line('primary', '2b-500')])).toBe('primary');
  });

  it('is that of the higher id where two sites began epochs of one number', async () => {
    const lines = [line('low', '2b-900'), line('high', '2c-500')];
    expect(await standing(lines, { low: epochs('1a', '2b'), high: epochs('1a', '2c') })).toBe('high');
  });

  it('is not decided by the id of a restart', async () => {
    const lines = [line('behind', '2c-500'), line('restarted', '2b-900')];
    expect(await standing(lines, { behind: epochs('1a', '2c'), restarted: epochs('1a', '2c', '2b') })).toBe('restarted');
  });

  it('is the one that goes furthest where the tables can’t be read', async () => {
    const lines = [line('low', '2b-900'), line('high', '2c-500')];
    const unread = new EvertreeError('IDENTITY_NEEDED', 'encrypted');
    expect(await standing(lines, { low: unread, high: unread })).toBe('low');
  });

  it('is one with states, if there is any', async () => {
    expect(await standing([line('empty'), line('full', '1a-1')])).toBe('full');
    expect(await standing([line('empty')])).toBe('empty');
    expect(await standing([])).toBeUndefined();
  });
});
