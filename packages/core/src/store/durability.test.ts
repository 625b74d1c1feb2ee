import { describe, expect, it } from 'vitest';
import { memoryStore } from '../../../../test/support/stores.ts';
import { Durability } from './durability.ts';

const at = (revision: number) => ({ epoch: 1, epochId: '00000000000000e1', revision });

describe('Durability', () => {
  it('forgets boundaries that a snapshot has taken the place of', async () => {
    const { store } = await memoryStore();
    store.put('/a', 1);
    await store.flush();
    const durability = new Durability(store.journal, { position: at(0), digest: 'before' });
    durability.appended(at(1), 'old');
    durability.reset({ position: at(50), digest: 'snapshot' });
    expect(durability.advance()).toBe(false);
    expect(durability.stable).toEqual({ position: at(50), digest: 'snapshot' });
    await store.close();
  });
});
