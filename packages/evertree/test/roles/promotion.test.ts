import { type Epoch, type EpochName, type ExactPosition, type Fencing, type Hello, NO_EPOCH_ID, ORIGIN } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import type { Extent, PossibleLoss } from '../../src/roles/losses.ts';
import type { PromotionAction, PromotionEvent, PromotionRequest } from '../../src/roles/promotion-events.ts';
import { planHash, type PromotionFacts, type PromotionGround } from '../../src/roles/promotion-facts.ts';
import { PromotionMachine } from '../../src/roles/promotion-machine.ts';
import { readScripts } from '../../../../test/support/scripts.ts';

const LIMITS = { silentMs: 1_000, claimMs: 6_000, lendMs: 10_000 };
const OWN_ID = 'ff'.repeat(8);

function idOf(number: number): string {
  return String(number).repeat(16);
}

function at(text: string): ExactPosition {
  const [epoch, revision] = text.split('-').map(part => Number.parseInt(part, 10)) as [number, number];
  return { epoch, epochId: idOf(epoch), revision };
}

/** The history up to a position; `h` behind it: its last epoch ended in a handover; `?`: of an epoch that no table has. */
function extentOf(text: string): Extent {
  const last = at(text);
  if (text.endsWith('?')) return { last: { ...last, epochId: '0'.repeat(16) }, epochs: [] };
  const bases = [ORIGIN, at('1-100'), at('2-200')];
  const epochs = bases
    .slice(0, last.epoch)
    .map((base, index): Epoch => ({ number: index + 1, id: idOf(index + 1), site: 'north', base, reason: '', time: 0 }));
  const ending = epochs.at(-1)!;
  return { last, epochs: text.endsWith('h') ? [...epochs.slice(0, -1), { ...ending, end: { to: 'west', command: 'c' } }] : epochs };
}

/** What follows a word in a line. */
function after(word: string, words: readonly string[], count = 1): string | undefined {
  const index = words.indexOf(word);
  return index < 0 ? undefined : words[index + count];
}

function epochAt(word: string | undefined): EpochName | undefined {
  return word === undefined ? undefined : { number: Number(word), id: idOf(Number(word)) };
}

function groundOf(words: readonly string[]): PromotionGround {
  const primary = after('primary', words);
  const obstacles = after('obstacles', words)?.split(',') ?? [];
  return {
    site: 'south',
    ...extentOf(words[0]!),
    fencedBy: epochAt(after('fenced', words)),
    heardNumber: Number(after('heard', words) ?? 0),
    remotes: after('remotes', words)?.split(',') ?? [],
    logs:
      after('remotes', words)
        ?.split(',')
        .filter(remote => remote.startsWith('kafka')) ?? [],
    primary: primary === undefined ? undefined : { site: primary, heard: extentOf(after('primary', words, 2)!) },
    lastContact: undefined,
    obstacles: obstacles.map(code => ({ code, text: code.replace('!', ''), lasting: code.endsWith('!') })),
  };
}

function eventOf(line: string): PromotionEvent {
  const [type, ...words] = line.split(' ') as [PromotionEvent['type'], ...string[]];
  const [first = '', second = '', third = '', fourth = ''] = words;
  switch (type) {
    case 'begin':
      return { type, ground: groundOf(words) };
    case 'met':
      return {
        type,
        remote: first,
        site: {
          site: second,
          standing: third as Hello['standing'],
          ...extentOf(fourth),
          fencedBy: epochAt(after('fenced', words.slice(4))),
          ...(first.startsWith('kafka') ? { isLog: true } : {}),
        },
      };
    case 'unreachable':
      return { type, remote: first };
    case 'gone':
      return { type, site: first };
    case 'promised':
      return { type, site: first, epoch: { number: Number(second), id: OWN_ID }, extent: extentOf(third) };
    case 'not-promised':
      return { type, site: first, epoch: { number: Number(second), id: OWN_ID }, text: 'no', highest: epochAt(after('highest', words)) };
    case 'raised':
      return { type, epoch: { number: Number(second), id: OWN_ID }, own: extentOf(first) };
    case 'not-lent':
      return { type, site: first, text: 'gone' };
    case 'adopted':
      return { type, own: extentOf(first) };
    case 'surpassed':
      return { type, by: Number(first), primary: second === '' ? undefined : { site: second, heard: extentOf(third) } };
    case 'stable':
      return { type, position: at(first) };
    case 'failed':
      return { type, why: words.join(' ') };
    default:
      return { type };
  }
}

function toldLoss({ commits, more }: PossibleLoss): string {
  return `lost ${commits}${more ? ' and more' : ''}`;
}

function listed(name: string, values: readonly string[]): string {
  return values.length === 0 ? '' : `, ${name} ${values.join(', ')}`;
}

function toldAction(action: PromotionAction): string {
  switch (action.type) {
    case 'dial':
      return '> dial';
    case 'raise':
      return `> raise ${action.epoch.number}: ${action.sites.join(', ') || 'nobody'}`;
    case 'adopt':
      return `> adopt ${action.from} up to ${action.extent.last.epoch}-${action.extent.last.revision}`;
    case 'begin-epoch':
      return `> begin-epoch ${action.epoch.number}`;
    case 'after':
      return `> after ${action.ms}`;
    case 'foretell': {
      const { lost, unreached, obstacles } = action.facts;
      const codes = obstacles.map(({ code }) => code);
      return `> foretell ${action.possible ? 'possible' : 'impossible'}, ${toldLoss(lost)}${listed('unreached', unreached)}${listed('obstacles', codes)}`;
    }
    case 'done': {
      const { epoch, position, lost, unheard } = action;
      return `> done ${epoch.number} at ${position.epoch}-${position.revision}, ${toldLoss(lost)}${listed('unheard', unheard)}`;
    }
    case 'refuse':
      return `> refuse: ${action.why}${toldHeard(action.heard)}`;
  }
}

function toldHeard(heard: Fencing | undefined): string {
  if (heard === undefined) return '';
  const isUnnamed = heard.id === NO_EPOCH_ID;
  return ` [heard ${heard.number}${isUnnamed ? ' without its id' : ''}${heard.begun ? '' : ', promised'}]`;
}

function requestOf(line: string): PromotionRequest | undefined {
  const words = line.split(' ');
  if (!['dry', 'force', 'confirm'].includes(words[0]!)) return undefined;
  return { dryRun: words.includes('dry'), force: words.includes('force'), confirm: after('confirm', words), id: OWN_ID };
}

describe('a promotion', () => {
  it.each(readScripts(new URL('promotion.txt', import.meta.url)))('%s', (_name, lines) => {
    let promotion = new PromotionMachine({ dryRun: false, force: false, confirm: undefined, id: OWN_ID }, LIMITS);
    const told = lines.flatMap(line => {
      if (line.startsWith('>')) return [];
      if (line.startsWith('=')) return [`= ${promotion.step}`];
      const request = requestOf(line);
      if (request !== undefined) {
        promotion = new PromotionMachine(request, LIMITS);
        return [line];
      }
      return [line, ...promotion.take(eventOf(line)).map(toldAction)];
    });
    expect(told).toEqual(lines);
  });

  it('is confirmed by the hash of its dry run as long as the facts are the same', () => {
    const lines = ['begin 1-90 remotes a primary north 1-100', 'met a w secondary 1-95'];
    const run = (request: Partial<PromotionRequest>, more = lines) => {
      const promotion = new PromotionMachine({ dryRun: false, force: false, confirm: undefined, id: OWN_ID, ...request }, LIMITS);
      return more.flatMap(line => promotion.take(eventOf(line))).at(-1)!;
    };
    const told = run({ dryRun: true });
    const confirm = told.type === 'foretell' ? told.confirm : '';
    expect(run({ confirm })).toMatchObject({ type: 'after' });
    expect(run({ confirm }, [lines[0]!, 'met a w secondary 1-96'])).toMatchObject({ type: 'refuse' });
    expect(run({ confirm }, ['begin 1-91 remotes a primary north 1-100', lines[1]!])).toMatchObject({ type: 'refuse' });
  });
});

describe('the plan hash', () => {
  const facts: Omit<PromotionFacts, 'adopts' | 'lost' | 'lastContact'> = {
    site: 'south',
    position: at('1-90'),
    primary: { site: 'north', position: at('1-100') },
    reached: [
      { site: 'w', standing: 'secondary', ...extentOf('1-95'), fencedBy: undefined },
      { site: 'e', standing: 'secondary', ...extentOf('1-80'), fencedBy: undefined },
    ],
    unreached: ['b', 'a'],
    obstacles: [{ code: 'empty', text: 'since 5 s' }],
  };

  it('does not depend on the order in which sites answered, nor on times in texts', () => {
    const other = {
      ...facts,
      reached: facts.reached.toReversed(),
      unreached: facts.unreached.toReversed(),
      obstacles: [{ code: 'empty', text: 'since 9 s' }],
    };
    expect(planHash(other)).toBe(planHash(facts));
    expect(planHash(facts)).toMatch(/^[0-9a-f]{16}$/);
  });

  it.each<[string, Partial<typeof facts>]>([
    ['its position', { position: at('1-91') }],
    ['the primary', { primary: { site: 'north', position: at('1-101') } }],
    ['a site that answered', { reached: facts.reached.slice(1) }],
    ['an address without an answer', { unreached: ['a'] }],
    ['an obstacle', { obstacles: [] }],
  ])('changes with %s', (_name, changed) => {
    expect(planHash({ ...facts, ...changed })).not.toBe(planHash(facts));
  });
});
