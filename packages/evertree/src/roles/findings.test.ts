import { FRAME_VERSION, type TargetFacts } from '@evertree/core';
import type { PeerStatus } from '@evertree/producer';
import { describe, expect, it } from 'vitest';
import { clockDifference, judgeClocks, judgeReach, judgeVersions } from './findings.ts';

const FACTS: TargetFacts = { program: 'evertree 0.3.0', frameVersion: FRAME_VERSION, reaches: ['north'], unreached: [], logs: [] };

function peer(site: string, more: Partial<PeerStatus> = {}): PeerStatus {
  return { site, through: null, state: 'replicate', ...more } as PeerStatus;
}

describe('two clocks', () => {
  it('are compared by the quickest answer, and no word is believed beyond the time that it took', () => {
    expect(clockDifference([])).toBeUndefined();
    const samples = [
      { askedAt: 1_000, tookMs: 400, time: 9_999 },
      { askedAt: 2_000, tookMs: 10, time: 5_005 },
      { askedAt: 3_000, tookMs: 50, time: 6_100 },
    ];
    expect(clockDifference(samples)).toEqual({ ms: 3_000, withinMs: 5 });
  });

  it('are told of only where they certainly differ by more than the bound', () => {
    expect(judgeClocks('south', 'north', { ms: 1_004, withinMs: 5 }, 1_000)).toEqual([]);
    expect(judgeClocks('south', 'north', { ms: -1_004, withinMs: 5 }, 1_000)).toEqual([]);
    expect(judgeClocks('south', 'north', { ms: 1_006, withinMs: 5 }, 1_000)).toMatchObject([
      {
        code: 'clocks-differ',
        text: expect.stringMatching(/^the clock of south is 1\.006 s ahead of that of north .* within 0\.005 s;/) as string,
      },
    ]);
    expect(judgeClocks('south', 'north', { ms: -7_000, withinMs: 5 }, 1_000)).toMatchObject([
      {
        text: expect.stringMatching(/7\.000 s behind that of north .* stand still until its clock has caught up; set the clocks/) as string,
      },
    ]);
  });
});

describe('two programs', () => {
  it('of one version are not told of; of two they are, and frames that could not be read stand in the way', () => {
    expect(judgeVersions('south', FACTS, 'north', 'evertree 0.3.0')).toEqual({ obstacles: [], warnings: [] });
    expect(judgeVersions('south', FACTS, 'north', 'evertree 0.4.0')).toMatchObject({
      obstacles: [],
      warnings: [
        { code: 'programs-differ', text: expect.stringContaining('south runs evertree 0.3.0, and north runs evertree 0.4.0') as string },
      ],
    });
    expect(judgeVersions('south', { ...FACTS, frameVersion: FRAME_VERSION + 1 }, 'north', 'evertree 0.2.0')).toMatchObject({
      obstacles: [{ code: 'frames-unreadable', text: expect.stringContaining('update north first') as string }],
      warnings: [],
    });
  });
});

describe('other secondaries', () => {
  it('are reached by an address of the target, or by a log that it names', () => {
    const peers = [peer('south'), peer('west'), peer('east', { through: 'topic t' })];
    expect(judgeReach('south', { ...FACTS, reaches: ['north', 'west'], logs: ['topic t'] }, 'north', peers)).toEqual([]);
  });

  it('that are not reached are named, with what was tried and what helps', () => {
    const peers = [peer('south'), peer('west', { state: 'offline' }), peer('east', { through: 'topic t' })];
    const warnings = judgeReach('south', { ...FACTS, unreached: ['127.0.0.1:9: refused'], logs: ['topic u'] }, 'north', peers);
    expect(warnings.map(({ code }) => code)).toEqual(['secondary-unreached', 'secondary-unreached']);
    expect(warnings[0]!.text).toMatch(
      /^south would not feed west: .*offline at north, too\); no site answered at 127\.0\.0\.1:9: refused; add its address/,
    );
    expect(warnings[1]!.text).toMatch(/^south would not feed east: east reads topic t, .* add it to that file/);
  });
});
