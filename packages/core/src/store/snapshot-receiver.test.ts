import { describe, expect, it } from 'vitest';
import { stillClock } from '../../../../test/support/host.ts';
import { encodeTree } from '../frames/snapshot-codec.ts';
import type { SnapshotHeader, SnapshotWriter } from '../seams/journal.ts';
import { importValue } from '../tree/content.ts';
import { Tree } from '../tree/tree.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';

const LONG = 'x'.repeat(100_000);

/** A tree whose snapshot has several chunks. */
function longTree(): Tree {
  const tree = new Tree();
  for (let index = 0; index < 10; index++)
    tree.put(['objects', String(index)], importValue({ text: `${LONG}${index}` }, [], tree.generation));
  return tree;
}

/** A disk that takes a chunk when it is told to. */
class SlowWriter implements SnapshotWriter {
  readonly events: string[] = [];
  readonly writes: PromiseWithResolvers<void>[] = [];

  async write(): Promise<void> {
    const write = Promise.withResolvers<void>();
    this.writes.push(write);
    await write.promise;
    this.events.push('written');
  }

  async commit(moved?: () => void): Promise<void> {
    this.events.push('committed');
    moved?.();
  }

  async abort(): Promise<void> {
    this.events.push('aborted');
  }

  /** The next writes take no time. */
  takeAll(): void {
    this.write = async () => void this.events.push('written');
    for (const write of this.writes) write.resolve();
  }
}

function receiverOf(tree: Tree, writer: SnapshotWriter, swapIn: (tree: Tree) => void = () => undefined): SnapshotReceiver {
  return new SnapshotReceiver({ digest: tree.digest() } as SnapshotHeader, writer, stillClock, (built, take) => take(() => swapIn(built)));
}

describe('A snapshot that is received', () => {
  it('is built further while its chunks are being written, and is the tree only when all are', async () => {
    const tree = longTree();
    const chunks = [...encodeTree(tree.pin())];
    expect(chunks.length).toBeGreaterThan(3);
    const writer = new SlowWriter();
    let taken: Tree | undefined;
    const receiver = receiverOf(tree, writer, built => (taken = built));
    for (const chunk of chunks) await receiver.add(chunk);
    expect(writer.events).toEqual([]);
    const finished = receiver.finish();
    expect(taken).toBeUndefined();
    writer.takeAll();
    await finished;
    expect(writer.events).toEqual([...chunks.map(() => 'written'), 'committed']);
    expect(taken?.digest()).toBe(tree.digest());
  });

  it('is not built further while more than 4 MiB of it wait for the disk', async () => {
    const tree = longTree();
    const chunk = [...encodeTree(tree.pin())][0]!;
    const writer = new SlowWriter();
    const receiver = receiverOf(tree, writer);
    let added = 0;
    const adding = (async () => {
      for (; added * chunk.length <= 8 * 1024 * 1024; added++) await receiver.add(chunk);
    })();
    await new Promise(resolve => setImmediate(resolve));
    expect(added * chunk.length).toBeGreaterThan(3 * 1024 * 1024);
    expect(added * chunk.length).toBeLessThanOrEqual(4 * 1024 * 1024);
    writer.takeAll();
    await adding;
  });

  it('fails with the next chunk, and at the end, when a chunk could not be written', async () => {
    const tree = longTree();
    const [first, second] = encodeTree(tree.pin());
    const writer = new SlowWriter();
    const receiver = receiverOf(tree, writer);
    await receiver.add(first!);
    await new Promise(resolve => setImmediate(resolve));
    writer.writes[0]!.reject(new Error('the disk is full'));
    await new Promise(resolve => setImmediate(resolve));
    await expect(receiver.add(second!)).rejects.toThrow('the disk is full');
    const other = receiverOf(tree, writer);
    for (const chunk of encodeTree(tree.pin())) await other.add(chunk);
    writer.writes[1]!.reject(new Error('the disk failed'));
    await expect(other.finish()).rejects.toThrow('the disk failed');
    expect(writer.events).toEqual([]);
  });

  it('is given up only when nothing is being written any more', async () => {
    const tree = longTree();
    const writer = new SlowWriter();
    const receiver = receiverOf(tree, writer);
    for (const chunk of encodeTree(tree.pin())) await receiver.add(chunk);
    const aborted = receiver.abort();
    writer.takeAll();
    await aborted;
    expect(writer.events.at(-1)).toBe('aborted');
    expect(writer.events).toContain('written');
  });
});
