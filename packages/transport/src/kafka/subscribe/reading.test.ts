import { NO_CHAIN, ORIGIN, PROTOCOL_VERSIONS } from '@evertree/core';
import type { CloseReason, Hello, Message } from '@evertree/core';
import { describe, expect, test, vi } from 'vitest';
import { FrameChain } from '../../../../../test/support/frame-chain.ts';
import { systemClock } from '../../../../../test/support/host.ts';
import { collectReports } from '../../../../../test/support/reports.ts';
import { encodeControl } from '../control.ts';
import type { SnapshotRecord } from '../control.ts';
import type { ReceivedRecord } from '../records.ts';
import { ControlView } from './control-view.ts';
import { TopicLink } from './link.ts';
import { Reading } from './reading.ts';

const TURNS = { timeout: 5_000, interval: 2 };
const FROM = 'a'.repeat(16);

/** A partition in memory; `low` is what retention has left. */
class Partition {
  readonly records: ReceivedRecord[] = [];
  low = 0n;
  readonly [Symbol.asyncDispose] = async () => undefined;

  add(value: Uint8Array | null, headers: { readonly [name: string]: string } = {}, key: string | null = null): string {
    const offset = String(this.records.length);
    const bytes = value === null ? null : Buffer.from(value);
    this.records.push({ key: key === null ? null : Buffer.from(key), value: bytes, headers, offset, timestamp: '0' });
    return offset;
  }

  get high(): bigint {
    return BigInt(this.records.length);
  }

  async offsets() {
    return { low: this.low, high: this.high };
  }

  async offsetAt(): Promise<bigint | undefined> {
    return undefined;
  }

  async fetch(offset: bigint) {
    const { low, high } = this;
    if (offset < low || offset > high) throw Object.assign(new Error('gone'), { type: 'OFFSET_OUT_OF_RANGE' });
    const records = this.records.slice(Number(offset));
    // A long poll gives others their turn.
    if (records.length === 0) await new Promise(resolve => setTimeout(resolve, 2));
    return { records, next: high, low, high };
  }
}

/** A secondary at its origin that reads a topic, and whatever that brings. */
function reader(chain: FrameChain, topic: Partition, snapshots: Partition) {
  const { reports, report } = collectReports();
  const view = new ControlView('t.control', report);
  const hello: Hello = {
    protocols: PROTOCOL_VERSIONS,
    program: 'test',
    site: 'north',
    role: 'primary',
    stream: chain.stream,
    position: chain.position,
    digest: '0'.repeat(16),
    epochs: chain.epochs,
    durable: true,
  };
  const said = encodeControl({ kind: 'primary', value: { hello: { ...hello, heartbeatMs: 20 }, partition: 0 } }, FROM);
  const say = (record: typeof said) =>
    view.take(
      { key: Buffer.from(String(record.key)), value: record.value, headers: record.headers ?? {}, offset: '0', timestamp: '0' },
      false,
    );
  say(said);
  const messages: Message[] = [];
  const closings: [CloseReason, string][] = [];
  const link = new TopicLink({
    remote: 'here',
    clock: systemClock,
    report,
    hello,
    lastSeen: 0,
    sent: () => undefined,
    closedHere: () => undefined,
  });
  link.attach({
    message: message => void messages.push(message),
    drained: () => undefined,
    closed: (reason, explanation) => void closings.push([reason, explanation]),
  });
  const site: Hello = { ...hello, site: 'south', role: 'secondary', stream: null, position: ORIGIN, epochs: [] };
  link.send({ type: 'hello', hello: site });
  const spoilt = new Set<string>();
  const wants: unknown[] = [];
  const lost = vi.fn((explanation: string) => link.end('lost', explanation, false));
  const reading = new Reading(
    {
      clock: systemClock,
      report,
      topic: 't',
      partition: 0,
      link,
      view,
      reader: topic,
      openSnapshots: async () => snapshots,
      spoilt,
      tell: { state: () => undefined, want: want => void wants.push(want) },
      handed: () => undefined,
      lost,
    },
    site,
    undefined,
  );
  const announce = (value: SnapshotRecord) => {
    say(encodeControl({ kind: 'snapshot', value }, FROM));
    reading.announced();
  };
  return { reading, link, messages, closings, spoilt, wants, lost, reports, announce };
}

/** Writes a snapshot of the chain's position; returns what announces it. */
function snapshotOf(chain: FrameChain, at: Partition, follow: bigint, id: string, chunks = 3): SnapshotRecord {
  const header = { ...chain.snapshotHeader(), chain: NO_CHAIN };
  const begin = at.add(Buffer.from('{}'), { type: 'begin' }, id);
  for (let chunk = 0; chunk < chunks; chunk++) at.add(Buffer.of(chunk), { type: 'chunk' }, id);
  const end = at.add(Buffer.from(JSON.stringify({ chunks })), { type: 'end' }, id);
  return { id, header, begin, end, chunks, bytes: chunks, follow: String(follow) };
}

function filled() {
  const chain = new FrameChain();
  const topic = new Partition();
  for (let index = 0; index < 6; index++) topic.add(chain.next().bytes);
  return { chain, topic, snapshots: new Partition() };
}

describe('reading a topic', () => {
  test('retention that has passed a site by makes it want a snapshot, take it, and go on after it', async () => {
    const { chain, topic, snapshots } = filled();
    topic.low = 3n;
    const south = reader(chain, topic, snapshots);
    const running = south.reading.run();
    await vi.waitFor(
      () =>
        expect(south.wants).toMatchObject([
          { tried: null, reason: { code: 'retention-passed', text: expect.stringMatching(/^retention/) as string } },
        ]),
      TURNS,
    );
    south.announce(snapshotOf(chain, snapshots, 6n, 'b'.repeat(16)));
    await vi.waitFor(() => expect(south.messages.at(-1)?.type).toBe('snapshot-end'), TURNS);
    topic.add(chain.next().bytes);
    await vi.waitFor(() => expect(south.messages.at(-1)?.type).toBe('frame'), TURNS);
    const chunk = 'snapshot-chunk';
    expect(south.messages.map(({ type }) => type)).toEqual(['hello', 'snapshot-begin', chunk, chunk, chunk, 'snapshot-end', 'frame']);
    expect(south.wants.at(-1)).toBe(null);
    south.link.close('going-away', '');
    await running;
  });

  test('a snapshot that is not whole costs the link, and is not taken again', async () => {
    const { chain, topic, snapshots } = filled();
    topic.low = 3n;
    const announced = snapshotOf(chain, snapshots, 6n, 'b'.repeat(16));
    snapshots.records.splice(2, 1);
    const south = reader(chain, topic, snapshots);
    south.announce(announced);
    await south.reading.run();
    expect(south.lost.mock.calls).toEqual([[expect.stringMatching(/can't be read whole/)]]);
    expect(south.spoilt).toEqual(new Set([announced.id]));
    expect(south.messages.map(({ type }) => type)).not.toContain('snapshot-end');
  });

  test('a snapshot whose records are gone is passed over, and another one wanted', async () => {
    const { chain, topic, snapshots } = filled();
    topic.low = 3n;
    const announced = snapshotOf(chain, snapshots, 6n, 'b'.repeat(16));
    snapshots.low = 2n;
    const south = reader(chain, topic, snapshots);
    south.announce(announced);
    const running = south.reading.run();
    await vi.waitFor(() => expect(south.wants).toMatchObject([{ tried: announced.id }]), TURNS);
    // Who goes meanwhile is let go.
    south.reading.finish(() => {
      south.link.end('going-away', 'stops', true);
      south.reading.announced();
    });
    await running;
    await vi.waitFor(() => expect(south.closings).toEqual([['going-away', 'stops']]), TURNS);
  });

  test('a gap is looked at again twice, and then bridged', async () => {
    const { chain, topic, snapshots } = filled();
    topic.records.splice(3, 1);
    for (const [index, record] of topic.records.entries()) Object.assign(record, { offset: String(index) });
    const south = reader(chain, topic, snapshots);
    const running = south.reading.run();
    await vi.waitFor(
      () =>
        expect(south.wants).toMatchObject([
          { reason: { code: 'frames-missing', text: expect.stringMatching(/^frames are missing/) as string } },
        ]),
      TURNS,
    );
    south.announce(snapshotOf(chain, snapshots, topic.high, 'b'.repeat(16)));
    await vi.waitFor(() => expect(south.messages.at(-1)?.type).toBe('snapshot-end'), TURNS);
    south.link.close('going-away', '');
    await running;
  });
});
