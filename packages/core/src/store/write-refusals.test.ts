import { describe, expect, test } from 'vitest';
import { notPrimary } from './write-refusals.ts';
import type { WriteDestination } from './write-route.ts';

const ID = 'a'.repeat(16);
const LEADER = {
  kind: 'elsewhere',
  site: 'north',
  address: undefined,
  epoch: { number: 1, id: ID },
  position: { epoch: 1, epochId: ID, revision: 2 },
} satisfies WriteDestination;

describe('a write that came to a secondary is told', () => {
  test('where the primary is', () => {
    const { code, message, details } = notPrimary('south', { ...LEADER, address: 'http://north:1' }, undefined);
    expect([code, message, details['primary']]).toEqual([
      'NOT_PRIMARY',
      'south is a secondary: it takes changes from its primary only; write there (http://north:1)',
      'north',
    ]);
  });

  test('who the primary is, and what helps if it is gone, where it has told no address', () => {
    expect(notPrimary('south', LEADER, undefined).message).toBe(
      'south is a secondary: it takes changes from its primary only, which is north; write there, or promote south if that one is gone',
    );
  });

  test('of a promise that keeps the primary from writing, too', () => {
    const { message } = notPrimary('south', undefined, { number: 2, id: ID, begun: false });
    expect(message).toContain(`It also promised epoch 2 (${ID}) to a site that is being promoted, and has not heard that it began.`);
    expect(message).toContain('If that promotion has ended and no site takes writes, promote one, south for example');
  });
});
