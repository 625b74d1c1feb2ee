import { ORIGIN, PROTOCOL_VERSIONS, emptyDigest } from '@evertree/core';
import type { Reason } from '@evertree/core';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Control } from '../control.ts';
import type { SentRecord } from '../records.ts';
import { Teller } from './teller.ts';

const hello = {
  protocols: PROTOCOL_VERSIONS,
  program: 't',
  site: 'b',
  stream: null,
  role: 'secondary',
  position: ORIGIN,
  digest: emptyDigest(),
} as const;

function site(state: 'replicate' | 'snapshot', reason: Reason | null = null): Control {
  return { kind: 'site', site: 'b', value: { hello: { ...hello, epochs: [], durable: true, heartbeatMs: 1 }, state, reason } };
}

function position(revision: number): Control {
  const at = { ...ORIGIN, revision };
  return { kind: 'position', site: 'b', value: { applied: at, durable: at } };
}

/** What a record says, in a word. */
function wordOf({ key, value }: SentRecord): string {
  const told = JSON.parse(String(value)) as { state?: string; durable?: { revision: number } };
  return `${String(key)} ${told.state ?? told.durable?.revision}`;
}

describe('what a secondary tells in the control topic', () => {
  let sends: { readonly words: string[]; readonly answer: PromiseWithResolvers<void> }[];
  let later: (() => void)[];
  let teller: Teller;
  let nowMs: number;

  beforeEach(() => {
    sends = [];
    later = [];
    nowMs = 0;
    teller = new Teller({
      clock: {
        now: () => nowMs,
        monotonic: () => nowMs,
        soon: task => void later.push(task),
        after: (_ms, task) => {
          later.push(task);
          return { [Symbol.dispose]: () => undefined };
        },
      },
      random: { bytes: length => new Uint8Array(length), fraction: () => 0.5 },
      from: 'f'.repeat(16),
      pauseMs: 0,
      retryMs: 1,
      write: records => {
        const answer = Promise.withResolvers<void>();
        sends.push({ words: records.map(wordOf), answer });
        return answer.promise;
      },
      accepting: () => undefined,
      sent: () => undefined,
    });
  });

  /** The broker answers, and time passes. */
  async function go(ok = true): Promise<void> {
    const { answer } = sends.at(-1)!;
    if (ok) answer.resolve();
    else answer.reject(new Error('no broker'));
    await new Promise(resolve => setImmediate(resolve));
    nowMs += 1_000;
    for (const task of later.splice(0)) task();
  }

  it('is the newest of each kind', async () => {
    teller.put(position(1));
    teller.put(site('replicate'));
    for (const revision of [2, 3, 4]) teller.put(position(revision));
    await go();
    expect(sends.map(({ words }) => words)).toEqual([['position/b 1'], ['site/b replicate', 'position/b 4']]);
  });

  it('and that a snapshot was taken, however soon it was over', async () => {
    teller.put(position(1));
    teller.put(site('replicate'));
    teller.put(site('snapshot', { code: 'other', text: 'why' }));
    teller.put(site('replicate'));
    await go();
    expect(sends.at(-1)!.words).toEqual(['site/b snapshot', 'site/b replicate']);
  });

  it('is sent again when it failed, before what was told since, and without what that replaces', async () => {
    teller.put(position(1));
    teller.put(site('snapshot', { code: 'other', text: 'why' }));
    await go();
    expect(sends.at(-1)!.words).toEqual(['site/b snapshot']);
    teller.put(position(2));
    teller.put(site('replicate'));
    await go(false);
    expect(sends.at(-1)!.words).toEqual(['site/b snapshot', 'position/b 2', 'site/b replicate']);
    teller.put(position(3));
    await go(false);
    expect(sends.at(-1)!.words).toEqual(['site/b snapshot', 'site/b replicate', 'position/b 3']);
  });
});
