import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../../../test/support/stores.ts';
import { at, history, OTHER_PROMOTION, PROMOTED } from '../../test/histories.ts';
import { Durability } from './durability.ts';
import type { FrameLog } from '../seams/journal.ts';
import type { ExactPosition } from '../position.ts';

/** As much of a log as durability asks for. */
function logAt(stable: string): Omit<FrameLog, 'stable'> & { stable: ExactPosition } {
  return { durable: true, stable: at(stable) } as never;
}

describe('Durability', () => {
  it('forgets frame ends that a snapshot has replaced', async () => {
    const { store } = await memoryStore();
    store.put('/a', 1);
    await store.flush();
    const moving = { ...history(['1a'], '1a-1') };
    const durability = new Durability(store.journal.log, moving, { position: at('0-0'), digest: 'before' });
    durability.appended(at('1a-1'), 'old');
    Object.assign(moving, history(['1a'], '1a-50'));
    durability.reset({ position: at('1a-50'), digest: 'snapshot' });
    expect(durability.advance()).toBe(false);
    expect(durability.stable).toEqual({ position: at('1a-50'), digest: 'snapshot' });
    await store.close();
  });

  it('is reached by commits before a fork, and never by commits that were removed', async () => {
    const moving = { ...history(PROMOTED, '2b-460') };
    const durability = new Durability(logAt('1a-400'), moving, { position: at('1a-400'), digest: 'before' });
    const kept = durability.wait(at('1a-450'));
    const lost = durability.wait(at('2b-452'));
    Object.assign(moving, history(OTHER_PROMOTION, '2c-490'));
    durability.reset({ position: at('2c-490'), digest: 'snapshot' });
    await expect(kept).resolves.toBeUndefined();
    await expect(lost).rejects.toMatchObject({ code: 'FENCED', details: { position: at('2b-452'), last: at('2c-490') } });
  });

  it.each([
    ['of the epoch before, beyond its end', PROMOTED, '2b-460', '1a-455'],
    ['of an epoch of the same number elsewhere', PROMOTED, '2b-460', '2c-455'],
    ['beyond the last commit', PROMOTED, '2b-460', '2b-461'],
  ])('is not told of a position %s', async (_, entries, last, position) => {
    const durability = new Durability(logAt(last), history(entries, last), { position: at(last), digest: 'end' });
    await expect(durability.wait(at(position))).rejects.toMatchObject({
      code: 'FENCED',
      details: { position: at(position), last: at(last) },
    });
  });

  it('is told in order, as the journal becomes stable', async () => {
    const log = logAt('1a-400');
    const durability = new Durability(log, history(PROMOTED, '2b-460'), { position: at('1a-400'), digest: 'before' });
    const told: string[] = [];
    const waiting = ['2b-455', '1a-450', '2b-455', '2b-460'].map(text => durability.wait(at(text)).then(() => void told.push(text)));
    for (const [position, digest] of [
      ['1a-450', 'x'],
      ['2b-455', 'y'],
      ['2b-460', 'z'],
    ] as const)
      durability.appended(at(position), digest);
    log.stable = at('2b-455');
    expect(durability.advance()).toBe(true);
    await Promise.all(waiting.slice(0, 3));
    expect(told).toEqual(['1a-450', '2b-455', '2b-455']);
    expect(durability.stable).toEqual({ position: at('2b-455'), digest: 'y' });
    log.stable = at('2b-460');
    expect([durability.advance(), durability.advance()]).toEqual([true, false]);
    await Promise.all(waiting);
  });
});
