import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EvertreeError } from '@evertree/core';
import type { Report } from '@evertree/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { POSITION, frameOf } from '../../../../test/support/links.ts';
import { Quarantine } from './quarantine.ts';

describe('frames in quarantine', () => {
  const error = new EvertreeError('DIGEST_MISMATCH', 'another tree');
  let directory: string;
  let reports: Report[];
  let quarantine: Quarantine;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'evertree-quarantine-'));
    reports = [];
    quarantine = new Quarantine(directory, report => void reports.push(report));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  const files = () => readdirSync(join(directory, 'quarantine')).toSorted();

  it('are kept one by one, named by position and content, even two that end at one position', () => {
    const one = frameOf(7, 100).bytes;
    const other = frameOf(7, 200).bytes;
    for (const frame of [one, other, one, Buffer.from('not a frame'), Buffer.from('nor this')]) quarantine.keep(frame, error);
    expect(files()).toEqual([
      expect.stringMatching(new RegExp(`^7-7-${POSITION.epochId}-[0-9a-f]{16}\\.evf$`)),
      expect.stringMatching(new RegExp(`^7-7-${POSITION.epochId}-[0-9a-f]{16}\\.evf$`)),
      expect.stringMatching(/^unreadable-[0-9a-f]{16}\.evf$/),
      expect.stringMatching(/^unreadable-[0-9a-f]{16}\.evf$/),
    ]);
    const kept = files().map(file => readFileSync(join(directory, 'quarantine', file)).toString('hex'));
    expect(kept).toEqual(expect.arrayContaining([one, other].map(frame => Buffer.from(frame).toString('hex'))));
    expect(reports.map(({ event }) => event)).toEqual(Array(5).fill('frame-kept'));
  });

  it('are bounded in number: the first ones stay, and what is not kept is reported', () => {
    for (let index = 0; index < 65; index++) quarantine.keep(Buffer.from(`frame ${index}`), error);
    expect(files().length).toBe(64);
    expect(reports.at(-1)).toMatchObject({ event: 'frame-not-kept', message: expect.stringContaining('64 frames are there') as string });
    quarantine.keep(Buffer.from('frame 0'), error);
    expect(reports.at(-1)).toMatchObject({ event: 'frame-kept' });
  });
});
