import { MARKS_LIMIT, NO_CHAIN, ORIGIN, PROTOCOL_VERSIONS } from '@evertree/core';
import type { CloseReason, Hello, Message } from '@evertree/core';
import { describe, expect, test, vi } from 'vitest';
import { FrameChain } from '../../../../../test/support/frame-chain.ts';
import { systemClock, systemRandom } from '../../../../../test/support/host.ts';
import { collectReports } from '../../../../../test/support/reports.ts';
import { BrokerError } from '../broker.ts';
import type { Broker, PartitionReader, ReaderOptions, RecordWriter } from '../broker.ts';
import type { SnapshotRecord, WantRecord } from '../control.ts';
import { PART_BYTES } from '../parts.ts';
import { SnapshotRecords } from '../publish/snapshot-records.ts';
import type { ReceivedRecord, SentRecord } from '../records.ts';
import { TopicAccess } from './topic-access.ts';
import { TopicLink } from './link.ts';
import { subscriberSettings } from './settings.ts';

const TURNS = { timeout: 5_000, interval: 2 };
const FROM = 'a'.repeat(16);
const PRIMARY_HEARTBEAT_MS = 5_000;

/** A partition in memory; `low` is what retention has left. */
class Partition implements PartitionReader {
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
    if (offset < low || offset > high) {
      throw new BrokerError('NOT_FOUND', 'gone', { lasting: false, kafka: 'OFFSET_OUT_OF_RANGE' });
    }
    const records = this.records.slice(Number(offset));
    // A long poll gives others their turn.
    if (records.length === 0) await new Promise(resolve => setTimeout(resolve, 2));
    return { records, next: high, low, high };
  }

  async close(): Promise<void> {
    return undefined;
  }
}

/** A broker that has a topic and its snapshots, and takes what is told. */
function brokerOf(topic: Partition, snapshots: Partition) {
  const told: SentRecord[] = [];
  /** Resolves before each send; a test lets one fail. */
  const gate = { passed: Promise.resolve() };
  const writer: RecordWriter = {
    send: async (_topic, _partition, records) => {
      await gate.passed;
      return BigInt(told.push(...records));
    },
    close: async () => undefined,
  };
  const broker: Pick<Broker, 'openReader' | 'openWriter'> = {
    openReader: async (options: ReaderOptions) => (options.topic === 't' ? topic : snapshots),
    openWriter: async () => writer,
  };
  return { broker: broker as Broker, told, gate };
}

/** What was told under a key, oldest first. */
function valuesOf(told: readonly SentRecord[], key: string): unknown[] {
  return told.filter(record => String(record.key) === key).map(({ value }): unknown => value && JSON.parse(String(value)));
}

/** A secondary at its origin that reads a topic, and whatever that brings. */
function reader(chain: FrameChain, topic: Partition, snapshots: Partition, announced?: SnapshotRecord) {
  const { reports, report } = collectReports();
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
    standing: 'primary',
    standby: false,
  };
  const primary = { record: { hello: { ...hello, heartbeatMs: PRIMARY_HEARTBEAT_MS }, partition: 0 }, from: FROM, saidAt: 0 };
  const settings = subscriberSettings({
    clock: systemClock,
    random: systemRandom,
    report,
    connection: { brokers: ['here:1'] },
    topic: 't',
    site: 'south',
    groupId: 'g',
    limits: { acknowledgeMs: 0 },
  });
  const { broker, told, gate } = brokerOf(topic, snapshots);
  const spoilt = new Set<string>();
  const messages: Message[] = [];
  const closings: [CloseReason, string][] = [];
  const access = new TopicAccess(settings, broker);
  const link = new TopicLink(settings, access, topic, { primary, snapshot: announced, claims: [], spoilt });
  link.attach({
    message: message => void messages.push(message),
    drained: () => undefined,
    closed: (reason, explanation) => void closings.push([reason, explanation]),
  });
  const site: Hello = { ...hello, site: 'south', role: 'secondary', stream: null, position: ORIGIN, epochs: [] };
  link.send({ type: 'hello', hello: site });
  /** The primary goes. */
  const leave = () => link.heard({ ...primary, record: { ...primary.record, closing: { reason: 'going-away', explanation: 'stops' } } }, 0);
  return {
    link,
    messages,
    closings,
    spoilt,
    told,
    gate,
    reports,
    leave,
    wants: () => valuesOf(told, 'want/south') as (WantRecord | null)[],
  };
}

/** Writes a snapshot of the chain's position; returns what announces it. */
function snapshotOf(chain: FrameChain, at: Partition, follow: bigint, id: string, chunks = 3): SnapshotRecord {
  const header = { ...chain.snapshotHeader(), chain: NO_CHAIN };
  const reason = { code: 'reader-waits', text: 'a reader waits' };
  const begin = at.add(Buffer.from(JSON.stringify({ header, reason })), { type: 'begin' }, id);
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
    await vi.waitFor(
      () =>
        expect(south.wants()).toMatchObject([
          { tried: null, reason: { code: 'retention-passed', text: expect.stringMatching(/^retention/) as string } },
        ]),
      TURNS,
    );
    south.link.announced(snapshotOf(chain, snapshots, 6n, 'b'.repeat(16)));
    await vi.waitFor(() => expect(south.messages.at(-1)?.type).toBe('snapshot-end'), TURNS);
    const next = chain.next();
    topic.add(next.bytes);
    await vi.waitFor(() => expect(south.messages.at(-1)?.type).toBe('frame'), TURNS);
    // Parsed here once, so that the consumer need not do it again.
    expect(south.messages.at(-1)).toMatchObject({ parsed: { header: { last: next.header.last } } });
    const chunk = 'snapshot-chunk';
    expect(south.messages.map(({ type }) => type)).toEqual(['hello', 'snapshot-begin', chunk, chunk, chunk, 'snapshot-end', 'frame']);
    await vi.waitFor(() => expect(south.wants().at(-1)).toBe(null), TURNS);
    const states = valuesOf(south.told, 'site/south').map(value => (value as { state: string }).state);
    expect(states).toEqual(['replicate', 'snapshot', 'replicate']);
    await south.link.shut();
    expect(await south.link.outcome).toEqual({ kind: 'closed-here' });
  });

  test('an incomplete snapshot ends the link, and is not taken again', async () => {
    const { chain, topic, snapshots } = filled();
    topic.low = 3n;
    const announced = snapshotOf(chain, snapshots, 6n, 'b'.repeat(16));
    snapshots.records.splice(2, 1);
    const south = reader(chain, topic, snapshots, announced);
    expect(await south.link.outcome).toEqual({ kind: 'ended' });
    await vi.waitFor(() => expect(south.closings).toEqual([['lost', expect.stringMatching(/can't be read whole/)]]), TURNS);
    expect(south.spoilt).toEqual(new Set([announced.id]));
    expect(south.messages.map(({ type }) => type)).not.toContain('snapshot-end');
  });

  test('a snapshot of many marks is announced without them, begins in parts, and comes with all of them', async () => {
    const { chain, topic, snapshots } = filled();
    topic.low = 3n;
    const { position } = chain;
    const marks = Array.from({ length: MARKS_LIMIT }, (_, index) => ({ name: `m${index}`, position, markedAt: position, time: index }));
    const header = { ...chain.snapshotHeader(), marks };
    const reason = { code: 'reader-waits', text: 'a reader waits' } as const;
    const written = new SnapshotRecords({ id: 'b'.repeat(16), header, reason, answersRequest: true }, PART_BYTES, 6n);
    const add = ({ value, headers, key }: SentRecord) => written.stored(BigInt(snapshots.add(value, headers, String(key))));
    for (const record of written.begin()) add(record);
    expect(snapshots.records.length).toBeGreaterThan(1);
    for (const record of written.chunk(Buffer.of(1))) add(record);
    for (const record of written.end()) add(record);
    const announced = written.announcement(snapshots.high - 1n);
    expect(Buffer.byteLength(JSON.stringify(announced))).toBeLessThan(2_000);
    const south = reader(chain, topic, snapshots, announced);
    await vi.waitFor(() => expect(south.messages.at(-1)?.type).toBe('snapshot-end'), TURNS);
    expect(south.messages.find(({ type }) => type === 'snapshot-begin')).toMatchObject({ header });
    await south.link.shut();
  });

  test('a snapshot whose records are gone is passed over, and another one wanted', async () => {
    const { chain, topic, snapshots } = filled();
    topic.low = 3n;
    const announced = snapshotOf(chain, snapshots, 6n, 'b'.repeat(16));
    snapshots.low = 2n;
    const south = reader(chain, topic, snapshots, announced);
    await vi.waitFor(() => expect(south.wants()).toMatchObject([{ tried: announced.id }]), TURNS);
    expect(south.spoilt).toEqual(new Set([announced.id]));
    south.leave();
    await vi.waitFor(() => expect(south.closings).toEqual([['going-away', 'stops']]), TURNS);
  });

  test('a gap is looked at again twice, and then bridged', async () => {
    const { chain, topic, snapshots } = filled();
    topic.records.splice(3, 1);
    for (const [index, record] of topic.records.entries()) Object.assign(record, { offset: String(index) });
    const south = reader(chain, topic, snapshots);
    await vi.waitFor(
      () =>
        expect(south.wants()).toMatchObject([
          { reason: { code: 'frames-missing', text: expect.stringMatching(/^frames are missing/) as string } },
        ]),
      TURNS,
    );
    south.link.announced(snapshotOf(chain, snapshots, topic.high, 'b'.repeat(16)));
    await vi.waitFor(() => expect(south.messages.at(-1)?.type).toBe('snapshot-end'), TURNS);
    await south.link.shut();
  });

  test('a record that the broker refuses while the link closes is sent once more', async () => {
    const { chain, topic, snapshots } = filled();
    const south = reader(chain, topic, snapshots);
    await vi.waitFor(() => expect(valuesOf(south.told, 'site/south').length).toBe(1), TURNS);
    const refusal = Promise.withResolvers<void>();
    south.gate.passed = refusal.promise;
    const position = chain.position;
    south.link.send({ type: 'acknowledge', site: 'south', applied: position, durable: position });
    await vi.waitFor(() => expect(south.messages.at(-1)?.type).toBe('frame'), TURNS);
    const shut = south.link.shut();
    south.gate.passed = Promise.resolve();
    refusal.reject(new BrokerError('UNREACHABLE', 'no', { lasting: false }));
    await shut;
    expect(valuesOf(south.told, 'position/south')).toEqual([{ applied: position, durable: position }]);
    expect(valuesOf(south.told, 'site/south').at(-1)).toMatchObject({ closing: { reason: 'going-away' } });
  });
});
