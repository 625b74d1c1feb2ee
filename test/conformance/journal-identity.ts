import { DECLINED_LIMIT, NO_EPOCH_ID } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { type JournalSuite, identityOf, thrown } from './journal-suite.ts';

const low = { number: 3, id: '33'.repeat(8), begun: true };
const high = { number: 4, id: '44'.repeat(8), begun: true };

const named = ({ number, id }: typeof low) => ({ number, id });

/** Cases of fencing. */
export function testIdentity({ supports, prepare }: JournalSuite): void {
  describe('fencing', () => {
    test('a new journal is fenced by nobody; a fence never falls', async () => {
      const { journal } = await prepare();
      expect(journal.identity.fencedBy).toBe(undefined);
      await journal.identity.fence(low);
      expect(journal.identity.fencedBy).toEqual(low);
      await journal.identity.fence(high);
      await journal.identity.fence(low);
      expect(journal.identity.fencedBy).toEqual(high);
    });

    test('of two epochs with one number the one with the higher id counts', async () => {
      const { journal } = await prepare();
      const other = { ...low, id: '3f'.repeat(8) };
      await Promise.all([journal.identity.fence(other), journal.identity.fence(low)]);
      expect(journal.identity.fencedBy).toEqual(other);
    });

    test("does not change the site's name and role, and outlives a change of role", async () => {
      const { journal } = await prepare({}, { site: 'b', role: 'secondary' });
      await journal.identity.fence(high);
      await journal.identity.setRole('primary');
      expect([identityOf(journal), journal.identity.fencedBy]).toEqual([{ site: 'b', role: 'primary' }, high]);
    });

    test('is refused once the journal is closed', async () => {
      const { journal } = await prepare();
      await journal.close();
      expect(await thrown(() => journal.identity.fence(low))).toMatchObject({ code: 'CLOSED' });
    });

    test.runIf(supports.durable)('is recorded when the journal is closed in the same step', async () => {
      const { journal, open } = await prepare();
      const fenced = journal.identity.fence(high);
      await journal.close();
      await fenced;
      const again = await open();
      expect(again.identity.fencedBy).toEqual(high);
    });

    test('a promise is one until the epoch has begun, and an epoch that has begun is no promise again', async () => {
      const { journal } = await prepare();
      const promised = { ...low, begun: false };
      await journal.identity.fence(promised);
      expect(journal.identity.fencedBy).toEqual(promised);
      await journal.identity.fence(low);
      expect(journal.identity.fencedBy).toEqual(low);
      await journal.identity.fence(promised);
      expect(journal.identity.fencedBy).toEqual(low);
      await journal.identity.fence({ ...high, begun: false });
      await journal.identity.fence(low);
      expect(journal.identity.fencedBy).toEqual({ ...high, begun: false });
    });

    test.runIf(supports.durable)('survives the process', async () => {
      const { journal, open, crash } = await prepare();
      await journal.identity.fence(high);
      await crash();
      const again = await open();
      expect(again.identity.fencedBy).toEqual(high);
      await again.identity.fence(low);
      expect(again.identity.fencedBy).toEqual(high);
    });
  });

  describe('what was heard of epochs', () => {
    test('is nothing at a new journal, and never falls; two of one number are told without an id', async () => {
      const { journal } = await prepare();
      expect(journal.identity.heard).toBe(undefined);
      await Promise.all([journal.identity.hear(named(high)), journal.identity.hear(named(low))]);
      expect(journal.identity.heard).toEqual(named(high));
      await journal.identity.hear({ ...named(high), id: '4f'.repeat(8) });
      await journal.identity.hear(named(high));
      expect(journal.identity.heard).toEqual({ number: high.number, id: NO_EPOCH_ID });
      expect(journal.identity.fencedBy, 'it fences nobody').toBe(undefined);
    });

    test('is refused once the journal is closed', async () => {
      const { journal } = await prepare();
      await journal.close();
      expect(await thrown(() => journal.identity.hear(named(low)))).toMatchObject({ code: 'CLOSED' });
    });

    test.runIf(supports.durable)('survives the process, and outlives fences, declines and changes of role', async () => {
      const { journal, open, crash } = await prepare();
      await journal.identity.hear(named(high));
      await journal.identity.fence(low);
      await journal.identity.decline('one');
      await journal.identity.setRole('secondary');
      await crash();
      const again = await open();
      expect([again.identity.heard, again.identity.fencedBy]).toEqual([named(high), low]);
    });
  });

  describe('declined commands', () => {
    test('are kept once each, the newest of them', async () => {
      const { journal } = await prepare();
      expect([...journal.identity.declined]).toEqual([]);
      await journal.identity.decline('one');
      await Promise.all([journal.identity.decline('two'), journal.identity.decline('one')]);
      expect([...journal.identity.declined]).toEqual(['one', 'two']);
      for (let index = 0; index < DECLINED_LIMIT; index++) await journal.identity.decline(`more ${index}`);
      expect(journal.identity.declined.size).toBe(DECLINED_LIMIT);
      expect(journal.identity.declined.has('two')).toBe(false);
      expect(journal.identity.declined.has(`more ${DECLINED_LIMIT - 1}`)).toBe(true);
    });

    test('are refused once the journal is closed', async () => {
      const { journal } = await prepare();
      await journal.close();
      expect(await thrown(() => journal.identity.decline('one'))).toMatchObject({ code: 'CLOSED' });
    });

    test.runIf(supports.durable)('survive the process, and outlive fences and changes of role', async () => {
      const { journal, open, crash } = await prepare();
      await journal.identity.decline('one');
      await journal.identity.fence({ ...low, begun: false });
      await journal.identity.setRole('secondary');
      await crash();
      const again = await open();
      expect([...again.identity.declined]).toEqual(['one']);
      expect([again.identity.fencedBy, again.identity.role]).toEqual([{ ...low, begun: false }, 'secondary']);
    });
  });
}
