import type { Journal } from '../seams/journal.ts';
import type { Snapshot } from './snapshot.ts';

/** Writes a pinned snapshot to a journal in slices, so that it holds no commit; whole or not at all. Then retention goes by it. */
export async function storeSnapshot(journal: Journal, snapshot: Snapshot): Promise<void> {
  const writer = await journal.snapshots.create(snapshot.header);
  try {
    for (const chunk of snapshot.chunks()) await writer.write(chunk);
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await journal.retention.apply();
}
