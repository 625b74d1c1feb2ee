import { backUp, type BackupResult, initArchive, LineFile, stoppedSource, type Target } from '@evertree/archive';
import { describe, expect, it } from 'vitest';
import { checkArchive } from '../support/archive-check.ts';
import type { FaultDisk } from '../support/fault-disk.ts';
import { systemClock as clock, systemRandom as random } from '../support/host.ts';
import { MemoryTarget } from '../support/memory-target.ts';
import { commit, SMALL, stoppedSite } from '../support/offline-site.ts';
import { collectReports, expectErrors } from '../support/reports.ts';
import { diskStore } from '../support/stores.ts';

async function backup(target: Target, disk: FaultDisk): Promise<BackupResult & { readonly told: readonly string[] }> {
  const { reports, report } = collectReports();
  const source = await stoppedSource(disk);
  const lines = await LineFile.open(disk, report);
  const events = { report, lease: () => undefined };
  const result = await backUp({ target, source, lines, sealing: 'plain', clock, random, events });
  return { ...result, told: reports.map(({ event }) => event) };
}

async function emptyArchive(): Promise<MemoryTarget> {
  const target = new MemoryTarget();
  await initArchive(target, { sealing: 'plain', conditions: true, random });
  return target;
}

describe('a backup of a stopped site', () => {
  it('has all of its history, and ends where the site ended', async () => {
    const { disk, position, digest } = await stoppedSite();
    const target = await emptyArchive();
    const result = await backup(target, disk);
    expect(result).toMatchObject({ position, digest, told: [] });
    const [line] = await checkArchive(target);
    expect(line).toMatchObject({ last: position, digest });
    expect(line!.states.size).toBeGreaterThanOrEqual(60);
  });

  it('writes nothing where nothing is new, and then only what is new', async () => {
    const { disk } = await stoppedSite();
    const target = await emptyArchive();
    const first = await backup(target, disk);
    const { writes } = target;
    expect(await backup(target, disk)).toMatchObject({ objects: 0, commits: 0, position: first.position, digest: first.digest, told: [] });
    expect(target.writes).toBe(writes);
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    await commit(store, 100, 110);
    const { position, digest } = store;
    await store.close();
    const second = await backup(target, disk);
    expect(second).toMatchObject({ objects: 1, line: first.line, position, digest, told: [] });
    const [line] = await checkArchive(target);
    expect(line).toMatchObject({ last: position, digest });
  });

  it('goes on behind a gap where its site, which runs, drops what was not read yet', async () => {
    expectErrors('archive-gap');
    const { disk } = await stoppedSite({ commits: 120, openings: 3, snapshots: 1 });
    const target = await emptyArchive();
    const first = await backup(target, disk);
    // So that it has more to read.
    const { store } = await diskStore(disk, { journalOptions: SMALL });
    await commit(store, 120, 240);
    await store.close();
    const source = await stoppedSource(disk);
    const { stable } = await source.extent();
    const running = await diskStore(disk, { journalOptions: { ...SMALL, retentionRewindMs: 0, retentionMaxMs: 0 } });
    await running.store.saveSnapshot();
    await commit(running.store, 240, 300);
    await running.store.close();
    const { reports, report } = collectReports();
    const lines = await LineFile.open(disk, report);
    const events = { report, lease: () => undefined };
    const result = await backUp({ target, source, lines, sealing: 'plain', clock, random, events });
    expect(result.gap).toMatchObject({ from: first.position });
    expect(result.position.revision).toBeGreaterThanOrEqual(stable.revision);
    expect(reports.map(({ event }) => event)).toContain('archive-gap');
    const [line] = await checkArchive(target);
    expect(line!.last).toEqual(result.position);
  });

  it('begins with an image where the history does not begin at the origin', async () => {
    const { disk, position, digest } = await stoppedSite({ commits: 200, openings: 4, snapshots: 4, retain: true });
    const target = await emptyArchive();
    expect((await stoppedSource(disk).then(source => source.extent())).base.revision).toBeGreaterThan(0);
    expect(await backup(target, disk)).toMatchObject({ position, digest, images: 1 });
    const [line] = await checkArchive(target);
    expect(line).toMatchObject({ last: position, digest });
    expect(line!.line.objects[0]!.kind).toBe('image');
  });
});
