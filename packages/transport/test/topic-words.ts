import type { EpochName } from '@evertree/core';
import { POSITION, STREAM, frameOf } from '../../../test/support/links.ts';
import { encodeClaim, reignHeader } from '../src/kafka/claims/claim.ts';
import type { Claim } from '../src/kafka/claims/claim.ts';
import type { ReceivedRecord } from '../src/kafka/records.ts';

/*
 * The words of scripts for what a topic holds.
 */

/** `8e`: an epoch's number, and the digit of which its id is made, z for 0; `7` is this primary's. */
export function reignIn(word: string): EpochName {
  const [, number = '', digit] = /^(\d+)([a-fz])?$/.exec(word) ?? [];
  return { number: Number(number), id: digit === undefined ? POSITION.epochId : digit.replace('z', '0').repeat(16) };
}

export const claimOf = (word: string, site: string): Claim => ({ epoch: reignIn(word), site, stream: STREAM, time: 1 });

/**
 * A record of the topic: `7` is the frame after which the stream stands at 7, and `7@8e` the same frame, written under
 * epoch 8; `claim/8e` claims that epoch; `?` is no frame.
 */
export function recordOf(word: string, offset: number): ReceivedRecord {
  const rest = { offset: String(offset), timestamp: '0' };
  if (word.startsWith('claim/')) return { ...encodeClaim(claimOf(word.slice('claim/'.length), 'rival'), Buffer.from('k')), ...rest };
  const [revision, reign] = word.split('@') as [string, string?];
  const value = word === '?' ? Buffer.from('?') : Buffer.from(frameOf(Number(revision), 20).bytes);
  return { key: null, value, headers: reign === undefined ? {} : reignHeader(reignIn(reign)), ...rest };
}
