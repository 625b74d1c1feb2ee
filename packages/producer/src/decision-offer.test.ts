import { describe, expect, it } from 'vitest';
import { ORIGIN, PROTOCOL_VERSIONS, SITE } from '@evertree/core';
import type { ExactPosition, Hello } from '@evertree/core';
import { decide, decideReturn } from './decision.ts';
import type { Decision, OwnHistory } from './decision.ts';

const STREAM = 'aa'.repeat(16);
const ID = '11'.repeat(8);
const TABLE = [{ number: 1, id: ID, site: 'a', base: ORIGIN, reason: 'test', time: 0 }];

function at(revision: number): ExactPosition {
  return revision === 0 ? ORIGIN : { epoch: 1, epochId: ID, revision };
}

/** At 1-300, of which the journal keeps what follows 1-150. */
const OURS: OwnHistory = { site: 'a', stream: STREAM, last: at(300), digest: 'd300', base: at(150), epochs: TABLE };
const WHOLE: OwnHistory = { ...OURS, base: ORIGIN };

function hello(revision: number): Hello {
  return {
    protocols: PROTOCOL_VERSIONS,
    program: 'test',
    site: 'b',
    role: 'secondary',
    stream: revision === 0 ? null : STREAM,
    position: at(revision),
    digest: 'd',
    epochs: revision === 0 ? [] : TABLE,
    durable: true,
    standing: 'secondary',
    standby: false,
    catchesUp: true,
  };
}

function told(decision: Decision | undefined): string {
  switch (decision?.kind) {
    case 'replicate':
      return `replicate after ${decision.after.revision}`;
    case 'snapshot':
      return `snapshot ${decision.reason.code}`;
    case 'offer':
      return `offer from ${decision.base.revision} ${decision.reason.code}`;
    default:
      return String(decision?.kind);
  }
}

describe('a secondary that can take history from elsewhere', () => {
  const log = { kind: 'log', name: 'topic x', remedy: 'delete it' } as const;

  it.each<[string, Decision | undefined, string]>([
    ['is told where the journal begins', decide(OURS, hello(149), SITE, undefined), 'offer from 150 retention-passed'],
    ['gets frames where the journal reaches back', decide(OURS, hello(150), SITE, undefined), 'replicate after 150'],
    ['gets the whole tree if it is empty', decide(OURS, hello(0), SITE, undefined), 'snapshot new-secondary'],
    ['is asked nothing where it is a log', decide(OURS, hello(149), log, undefined), 'snapshot retention-passed'],
    ['gets frames once it stands further on', decideReturn(OURS, 'b', at(151), true), 'replicate after 151'],
    ['is told again if that is passed by, too', decideReturn(OURS, 'b', at(149), true), 'offer from 150 retention-passed'],
    ['gets the whole tree if it got no further', decideReturn(OURS, 'b', at(149), false), 'snapshot retention-passed'],
    ['gets the whole tree if it could not go back', decideReturn(WHOLE, 'b', at(0), true), 'snapshot fork-passed'],
  ])('%s', (_name, decision, expected) => {
    expect(told(decision)).toBe(expected);
  });
});
