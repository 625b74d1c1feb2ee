import { ORIGIN } from '@evertree/core';
import { describe, expect, test } from 'vitest';
import { FrameChain } from '../support/frame-chain.ts';
import { type JournalSuite, fill, save, thrown } from './journal-suite.ts';

/** Cases of leases on the history. */
export function testLeases({ supports, prepare, filled }: JournalSuite): void {
  describe('leases', () => {
    test('are told apart by kind and name, and hold what they were given', async () => {
      const { journal, chain } = await filled(3);
      journal.leases.hold('peer', 'b', ORIGIN);
      journal.leases.hold('backup', 'b', chain.position, 5_000);
      expect([...journal.leases.of('peer')]).toEqual([['b', { position: ORIGIN, expiresAt: undefined }]]);
      expect([...journal.leases.of('backup')]).toEqual([['b', { position: chain.position, expiresAt: 5_000 }]]);
      expect(journal.leases.of('copy').size).toBe(0);
      expect([journal.leases.release('backup', 'b'), journal.leases.release('backup', 'b')]).toEqual([true, false]);
      expect(journal.leases.of('peer').has('b')).toBe(true);
    });

    test.runIf(supports.durable)('survive the process once they are flushed', async () => {
      const { journal, chain, open, crash } = await filled(3);
      journal.leases.hold('backup', 's3', chain.position, 9_000_000_000_000);
      journal.leases.hold('peer', 'b', ORIGIN);
      await journal.leases.flush();
      await crash();
      const again = await open();
      expect([...again.leases.of('backup')]).toEqual([['s3', { position: chain.position, expiresAt: 9_000_000_000_000 }]]);
      expect([...again.leases.of('peer')]).toEqual([['b', { position: ORIGIN, expiresAt: undefined }]]);
    });
  });

  describe.runIf(supports.retention)('retention', () => {
    test.each(['copy', 'backup'] as const)('keeps what the lease of a %s asks for until it expires', async kind => {
      const { journal, chain } = await filled(100);
      const needed = chain.frames[9]!.header.last;
      journal.leases.hold(kind, 'x', needed, Date.now() + 3_600_000);
      await save(journal, chain, ['the tree']);
      await journal.retention.apply();
      expect(journal.log.base.revision).toBeLessThanOrEqual(needed.revision);
      expect(journal.leases.of(kind).has('x')).toBe(true);
      journal.leases.hold(kind, 'x', needed, Date.now() - 1);
      await journal.retention.apply();
      expect(journal.leases.of(kind).has('x')).toBe(false);
      expect(journal.log.base.revision).toBeGreaterThan(needed.revision);
    });

    test("releases a lease that it can't honour; while a lease is listed, all that it needs is here", async () => {
      const { journal, chain } = await prepare({ retentionMaxBytes: 40_000 });
      await fill(journal, chain, 20, 300);
      await save(journal, chain, ['old']);
      const needed = chain.position;
      journal.leases.hold('backup', 'x', needed);
      journal.leases.hold('peer', 'b', needed);
      while (journal.leases.of('backup').has('x')) {
        expect(journal.log.base.revision).toBeLessThanOrEqual(needed.revision);
        await fill(journal, chain, 20, 300);
        await save(journal, chain, ['new']);
        await journal.retention.apply();
      }
      expect(journal.log.base.revision).toBeGreaterThan(needed.revision);
      expect(journal.leases.of('peer').has('b')).toBe(true);
      expect(journal.retention.status?.passed).toEqual(['b']);
    });

    test('keeps what follows the fork for a lease of another history, and nothing for one of an unknown epoch', async () => {
      const { journal, chain } = await filled(30);
      const fork = chain.position;
      await fill(journal, chain, 1, 300);
      journal.log.append(chain.next({ beginsEpoch: true }));
      await fill(journal, chain, 60, 300);
      await save(journal, chain, ['the tree']);
      // It went on in the first epoch for long, elsewhere: its revision is one that this history has, its position is
      // not.
      const elsewhere = { ...fork, revision: fork.revision + 50 };
      journal.leases.hold('peer', 'b', elsewhere);
      await journal.retention.apply();
      expect(journal.log.base.revision).toBeLessThanOrEqual(fork.revision + 1);
      journal.leases.hold('peer', 'b', { epoch: 1, epochId: 'ee'.repeat(8), revision: 5 });
      await journal.retention.apply();
      expect(journal.log.base.revision).toBeGreaterThan(fork.revision + 40);
      expect(journal.retention.status?.passed).toEqual([]);
    });

    test('computes at the time of the call which peers are at risk: one that has caught up is not', async () => {
      const { journal, chain } = await prepare({ retentionMaxBytes: 60_000 });
      await fill(journal, chain, 20, 300);
      journal.leases.hold('peer', 'b', chain.frames[3]!.header.last);
      await fill(journal, chain, 100, 300);
      await save(journal, chain, ['the tree']);
      await journal.retention.apply();
      expect(journal.retention.status).toMatchObject({ atRisk: ['b'] });
      journal.leases.hold('peer', 'b', chain.position);
      expect(journal.retention.status?.atRisk).toEqual([]);
    });
  });

  test('a lease on a history that a snapshot replaced keeps nothing of it', async () => {
    const { journal, chain } = await filled(30);
    journal.leases.hold('peer', 'b', chain.position);
    const other = new FrameChain(chain.stream, { epoch: 7, epochId: '07'.repeat(8), revision: 1_000 });
    const writer = await journal.snapshots.create(other.snapshotHeader(), { replace: true });
    await writer.commit();
    expect(await thrown(() => journal.retention.apply())).toBe('nothing was thrown');
    expect(journal.log.base).toEqual(other.position);
  });
}
