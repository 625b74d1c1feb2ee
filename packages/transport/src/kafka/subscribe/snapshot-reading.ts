import type { Message } from '@evertree/core';
import type { PartitionReader } from '../broker.ts';
import type { TopicLink } from './link.ts';
import { RecordSource } from './record-source.ts';
import type { SnapshotIntake } from './snapshot-intake.ts';

/** Hands a message up as soon as the link takes it, if it does not end before. */
export async function handUp(link: TopicLink, message: Message): Promise<void> {
  if (!link.flows) await link.flowing();
  if (!link.isOver) link.hand(message);
}

/**
 * Hands up the chunks of a snapshot, and its end, unless the link ends before.
 * @throws EvertreeError DAMAGED, PROTOCOL_VIOLATION when it can't become whole; what the reader throws
 */
export async function handSnapshot(link: TopicLink, reader: Pick<PartitionReader, 'fetch'>, intake: SnapshotIntake): Promise<void> {
  const source = new RecordSource(reader);
  source.seek(BigInt(intake.announced.begin));
  while (!link.isOver) {
    const record = source.take();
    if (record === undefined) {
      await source.fill();
      continue;
    }
    link.receivedBytes += record.value?.length ?? 0;
    const message = intake.take(record);
    if (message === undefined) continue;
    await handUp(link, message);
    if (message.type === 'snapshot-end') return;
  }
}
