import { describe, expect, it } from 'vitest';
import { at, history } from '../../test/histories.ts';
import type { Fencing, Lineage } from '../lineage.ts';
import { isFenced, standingOf, type Standing, type StandingIdentity } from './standing.ts';

/** A history whose entries `1a`, `2b after 1a-5` … belong to the sites that stand behind them: `1a us`, `2b after 1a-5 them`. */
function lineage(entries: readonly string[], last: string, isHandedOver: boolean): Lineage {
  const sites = entries.map(entry => entry.split(' ').at(-1)!);
  const made = history(
    entries.map(entry => entry.slice(0, entry.lastIndexOf(' '))),
    last,
  );
  const epochs = made.epochs.map((epoch, index) => ({ ...epoch, site: sites[index]! }));
  if (isHandedOver) epochs[epochs.length - 1] = Object.assign({ end: { to: 'them', command: 'c' } }, epochs.at(-1));
  return { ...made, epochs };
}

const OURS = ['1a us'];
const THEIRS = ['1a us', '2b after 1a-5 them'];
const RESTARTED = ['1m us', '1z after 1m-5 us'];

function fencing(text: string): Fencing {
  const [name, verb] = text.split(' ') as [string, string];
  const { epoch: number, epochId: id } = at(`${name}-1`);
  return { number, id, begun: verb === 'begun' };
}

type Row = readonly [
  entries: readonly string[],
  ends: 'ended' | '',
  role: 'primary' | 'secondary',
  fencedBy: string,
  Standing,
  isFenced: boolean,
];

const ROWS: readonly Row[] = [
  [[], '', 'primary', '', 'primary', false],
  [[], '', 'secondary', '', 'secondary', false],
  [[], '', 'primary', '3c begun', 'fenced', true],
  [[], '', 'secondary', '3c begun', 'secondary', true],
  [THEIRS, '', 'primary', '', 'secondary', false],
  [THEIRS, '', 'secondary', '', 'secondary', false],
  [THEIRS, '', 'primary', '3c begun', 'secondary', false],
  [THEIRS, 'ended', 'primary', '', 'secondary', false],
  [OURS, '', 'primary', '', 'primary', false],
  [OURS, '', 'secondary', '', 'secondary', false],
  [OURS, '', 'primary', '2c begun', 'fenced', true],
  [OURS, '', 'primary', '2c promised', 'fenced', true],
  [OURS, '', 'primary', '1b begun', 'fenced', true],
  [OURS, '', 'primary', '1a begun', 'primary', false],
  [OURS, '', 'secondary', '2c begun', 'secondary', true],
  [OURS, 'ended', 'primary', '', 'handing-over', false],
  [OURS, 'ended', 'secondary', '', 'secondary', false],
  [OURS, 'ended', 'primary', '2c promised', 'handing-over', true],
  [OURS, 'ended', 'primary', '2c begun', 'fenced', true],
  [OURS, 'ended', 'primary', '1a begun', 'handing-over', false],
  // The first entry of the number decides, and not the restart, whose id is higher.
  [RESTARTED, '', 'primary', '1n begun', 'fenced', true],
  [RESTARTED, '', 'primary', '1b begun', 'primary', false],
];

describe('the standing of a site', () => {
  it.each(ROWS)('with the epochs %j %s, as a %s, fenced by %j, is %s', (entries, ends, role, fencedBy, standing, fenced) => {
    const identity: StandingIdentity = { site: 'us', role, fencedBy: fencedBy === '' ? undefined : fencing(fencedBy) };
    const newest = entries.at(-1);
    const ours = lineage(entries, newest === undefined ? '0-0' : `${newest.slice(0, 2)}-9`, ends === 'ended');
    expect([standingOf(identity, ours), isFenced(identity, ours)]).toEqual([standing, fenced]);
  });
});
