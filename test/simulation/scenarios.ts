import { parseScript } from './script.ts';
import type { Script } from './script.ts';

/** A site follows another one, and holds what was written. */
const FOLLOWED = ['write a 2 1', 'pass 30'];
/** The same, and its primary ends. */
const DESERTED = [...FOLLOWED, 'kill a', 'pass 100'];
const CONSENTED = [...FOLLOWED, 'switchover a b', 'until b consented 100'];
/** The target has lost its link, and its consent with it, when the handover becomes durable at the old primary. */
const HANDED_OVER = [...CONSENTED, 'block a b', 'until a handed-over 100', 'pass 100'];
/** Writes go on until a switchover waits for its target, which is far away, to catch up. */
const FAR_AWAY = [
  ...FOLLOWED,
  'delay a b 70 75',
  'delay b a 20 25',
  ...writing(20),
  'switchover a b',
  ...Array.from({ length: 90 }, () => ['write a 1 0', 'until a catching-up 10']).flat(),
];

/** Moments that a fault has to hit within a millisecond or two: each is tried at many. */
export const SCENARIOS: readonly Script[] = [
  ...atMany(6, heardBefore),
  // The old primary is written to while it hears that another site leads.
  ...atMany(6, ms => [
    'write a 2 1',
    'pass 20',
    'isolate a',
    'pass 100',
    'promote b force',
    'pass 300',
    'heal',
    ...Array.from({ length: 6 }, (_, time) => [`pass ${5 * ms + 10 * time}`, 'write a 1 0']).flat(),
  ]),
  // The old primary goes back to the fork, and its process ends.
  ...atMany(60, ms => [
    'write a 2 1',
    'pass 20',
    'isolate b',
    'pass 100',
    'write a 3 0',
    'pass 10',
    'promote b',
    'pass 260',
    'disk a 1 3',
    'heal',
    `pass ${20 + ms}`,
    'power-loss a',
    'start a',
  ]),
  // The power fails while commits, or the first frame of an epoch, wait for the disk.
  ...atMany(20, ms => [
    'write a 2 1',
    'pass 20',
    'disk a 2 3',
    'disk b 3 6',
    'write a 3 0',
    `pass ${ms / 5}`,
    'power-loss a',
    'promote b',
    `pass ${200 + ms}`,
    'power-loss b',
    'start b',
  ]),
  // Clients write over HTTP while their primary hands over.
  ...atMany(6, ms => [
    ...CONSENTED,
    'disk b 20 40',
    'until a handing-over 100',
    `pass ${ms / 2}`,
    'write-http a 5',
    'pass 30',
    'write-http a 2',
    ...(ms < 4 ? [] : ['stall b', 'write-http a 2', 'pass 700', 'resume b']),
    'pass 300',
  ]),
  // One that is promoted hears of a site that is ahead in an older epoch.
  ...atThree([
    'write a 2 3',
    'pass 30',
    ...['a', 'c'].flatMap(one => ['b', 'd'].flatMap(other => [`block ${one} ${other}`, `block ${other} ${one}`])),
    'pass 100',
    'write a 9 1',
    'pass 30',
    'promote b',
    'pass 500',
    'kill a',
    'kill b',
    'heal',
    'pass 100',
    'promote d',
    'pass 300',
  ]),
  // A primary stops, or its machine sleeps, for so long that another site leads.
  ...['stall', 'suspend'].flatMap(stops =>
    atMany(4, ms => [
      ...FOLLOWED,
      'write a 2 1',
      `pass ${ms}`,
      `${stops} a`,
      'pass 200',
      'promote b',
      'pass 1500',
      'resume a',
      'write a 2 1',
      'pass 100',
    ]),
  ),
  ...handovers(),
  ...takeovers(),
  ...promotions(),
];

/** What ends a switchover at its primary, at each of its steps. */
function handovers(): Script[] {
  return [
    // The target has declined the command, and its primary starts again and asks once more.
    ...atThree([...CONSENTED, 'cancel a', 'pass 100', 'kill a', 'pass 5', 'start a', 'pass 100', 'again a']),
    ...atThree([...FOLLOWED, 'switchover a b', 'until a consent 100', 'delay b a 310 320', 'pass 600']),
    // The target is so far away that it does not get near while writes go on.
    ...atThree([...FAR_AWAY, 'cancel a', 'pass 300']),
    ...atThree([...FAR_AWAY, ...writing(60), 'pass 300']),
    ...atThree([...FAR_AWAY, 'cut a b', 'pass 50']),
    ...atThree([...FAR_AWAY, 'promote c force', ...writing(40)]),
    // The disk of the old primary fails, or is slow, as the handover frame is on its way.
    ...atThree([...FOLLOWED, 'switchover a b', 'until a consent 100', 'fail-disk a write', 'pass 200']),
    ...atMany(16, ms => [...FOLLOWED, 'switchover a b', `pass ${8 + ms}`, 'fail-disk a write', 'write a 1 0', 'pass 100']),
    ...atThree([...CONSENTED, 'disk a 1500 1800', 'until a handing-over 100', 'pass 900']),
    ...atThree([...CONSENTED, 'disk a 100 120', 'until a handing-over 100', 'cancel a', 'pass 300']),
    // It is durable, and the target does not begin at once.
    ...atThree([...CONSENTED, 'disk b 200 250', 'until a handed-over 100', 'cut a b', 'pass 100', 'again a', 'pass 100']),
    ...atThree([
      ...CONSENTED,
      'disk b 200 250',
      'until a handed-over 100',
      'cancel a',
      'pass 20',
      'again a',
      'pass 20',
      'cancel a',
      'cut a b',
      'pass 300',
    ]),
    ...atThree([...HANDED_OVER, 'cancel a', 'pass 50', 'unblock a b', 'pass 200']),
    ...atThree([...HANDED_OVER, 'pass 350', 'again a', 'pass 250', 'unblock a b', 'pass 200']),
    ...atMany(8, ms => [...CONSENTED, 'promote b force', `pass ${ms}`, 'pass 300']),
    ...atMany(6, ms => [...CONSENTED, 'full b', `pass ${300 + 10 * ms}`, 'room b', 'pass 300']),
  ];
}

/** What comes between a target's consent and its epoch. */
function takeovers(): Script[] {
  return [
    ...atMany(6, ms => [...FOLLOWED, 'switchover a b', untilTarget(ms), 'cancel b', 'pass 300']),
    ...atMany(16, ms => [
      ...FOLLOWED,
      'switchover a b',
      untilTarget(ms),
      'kill a',
      'pass 5',
      'start a',
      `pass ${50 + ms}`,
      'switchover a b',
      'pass 200',
    ]),
    ...atMany(8, () => [...FOLLOWED, 'disk b 60 80', 'switchover a b', 'until b examining 300', 'cut a b', 'pass 300']),
    ...atMany(16, () => [...CONSENTED, 'disk b 30 40', 'cancel a', 'switchover a b', 'pass 300']),
    ...atMany(4, ms => [...FOLLOWED, 'switchover a b', untilTarget(ms), 'isolate b', 'pass 100', 'heal', 'pass 300']),
  ];
}

function untilTarget(ms: number): string {
  return `until b ${ms % 2 === 0 ? 'consented' : 'examining'} 100`;
}

/** One hears of an epoch in a dry run, dies, and is promoted where it hears of nobody. */
function heardBefore(ms: number): readonly string[] {
  return [
    'block b c',
    'write a 3 0',
    'pass 100',
    'promote b force',
    'pass 40',
    'dry-promote c',
    `pass ${26 + 4 * ms}`,
    'isolate c',
    ms % 2 === 0 ? 'kill c' : 'power-loss c',
    'start c',
    'pass 100',
    'promote c',
    'pass 300',
    'write c 2 1',
  ];
}

/** What ends a promotion, at each of its steps. */
function promotions(): Script[] {
  const isAhead = [...FOLLOWED, 'isolate b', 'write a 4 1', 'pass 20', 'write a 4 1', 'pass 30', 'kill a', 'heal', 'pass 60'];
  return [
    ...atThree([...DESERTED, 'delay c b 250 260', 'promote b', 'pass 800']),
    ...atThree([...DESERTED, 'delay c b 250 260', 'promote b', 'pass 50', 'stop b', 'pass 300', 'start b']),
    ...atThree([...DESERTED, 'promote b', 'until b raising 100', 'kill c', 'pass 300']),
    ...atThree([...DESERTED, 'promote b', 'until b raising 100', 'delay c b 250 260', 'pass 300']),
    ...atThree([...DESERTED, 'promote b', 'until b raising 100', 'full c', 'pass 300']),
    ...atThree([...DESERTED, 'promote b', 'until b raising 100', 'full b', 'pass 300']),
    ...atMany(6, ms => [...DESERTED, 'promote b', 'promote c', `pass ${ms}`, 'pass 300']),
    ...atThree([...isAhead, 'promote b', 'until b raising 100', 'delay c b 20 30', 'pass 900']),
    ...atThree([...isAhead, 'promote b', 'until b adopting 100', 'delay c b 700 710', 'pass 1500']),
    ...atThree([...isAhead, 'promote b', 'until b adopting 100', 'kill c', 'pass 900']),
    ...atThree([...DESERTED, 'promote b', 'until b raising 100', 'disk b 5 8', 'until b beginning 100', 'full b', 'pass 300']),
    ...atThree([...DESERTED, 'promote b', 'until b raising 100', 'disk b 5 8', 'until b beginning 100', 'stop b', 'pass 300']),
  ];
}

function writing(times: number): string[] {
  return Array.from({ length: times }, () => ['write a 1 0', 'pass 10']).flat();
}

function atThree(lines: readonly string[]): Script[] {
  return atMany(3, () => lines);
}

function atMany(moments: number, lines: (ms: number) => readonly string[]): Script[] {
  return Array.from({ length: moments }, (_, ms) => {
    const wanted = lines(ms);
    const sites = ['d', 'c'].findIndex(name => wanted.some(line => line.includes(` ${name}`)));
    const wires = Array.from({ length: sites < 0 ? 2 : 4 - sites }, () => 'direct');
    return { ...parseScript(`sites ${wires.join(' ')}`), seed: ms + 1, lines: wanted };
  });
}
