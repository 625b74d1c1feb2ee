import { expect, it, vi } from 'vitest';
import { systemClock } from '../../../../../test/support/host.ts';
import { NO_ORIGIN, encodeBatch, encodeRecords } from '../client/record-batch.ts';
import { LATEST } from '../client/record-wire.ts';
import { READ_COMMITTED } from '../client/settings.ts';
import { OwnCluster } from './cluster.ts';

interface Request {
  encode(): Promise<unknown>;
}

/** kafkajs puts the head of a request before its body, and the length before both. */
const OF_KAFKAJS: string = 'kafkajs/src/protocol/request.js';
const { default: createRequest } = (await import(OF_KAFKAJS)) as {
  readonly default: (asked: { correlationId: number; clientId: string; request: Request }) => Promise<{ readonly buffer: Buffer }>;
};

it('introduces a writer to another node while one is down', async () => {
  const own = new OwnCluster({ connection: { brokers: ['127.0.0.1:1'] }, report: () => undefined, clock: systemClock, answerMs: 1_000 });
  vi.spyOn(own.cluster, 'connect').mockResolvedValue();
  vi.spyOn(own.cluster, 'refreshMetadata').mockResolvedValue();
  const down = { isConnected: () => false, connect: () => Promise.reject(new Error('it is down')) };
  const up = {
    isConnected: () => true,
    connect: async () => undefined,
    initProducerId: async () => ({ producerId: '7', producerEpoch: 0 }),
  };
  Object.assign(own.cluster.brokerPool, { brokers: { 1: down, 2: up } });
  expect(await own.introduce()).toEqual({ id: 7n, epoch: 0 });
});

it('fails where an answer to a question for offsets has none: the topic does not end at -1', async () => {
  const own = new OwnCluster({ connection: { brokers: ['127.0.0.1:1'] }, report: () => undefined, clock: systemClock, answerMs: 1_000 });
  vi.spyOn(own.cluster, 'connect').mockResolvedValue();
  vi.spyOn(own.cluster, 'refreshMetadata').mockResolvedValue();
  vi.spyOn(own.cluster, 'addTargetTopic').mockResolvedValue();
  vi.spyOn(own.cluster, 'findLeaderForPartitions').mockReturnValue({ 1: [0] });
  const leader: Partial<Awaited<ReturnType<typeof own.anyNode>>> = { listOffsets: async () => ({ responses: [] }) };
  vi.spyOn(own.cluster, 'findBroker').mockResolvedValue(leader);
  await expect(own.offset('t', 0, LATEST, READ_COMMITTED)).rejects.toMatchObject({ code: 'UNREACHABLE', details: { topic: 't' } });
});

it.each([
  ['where it is', 'site', true],
  ['behind a head for which there is no room before it', 'a client with a long name '.repeat(50), false],
])('sends the same bytes of a batch %s', async (_, clientId, isInPlace) => {
  const batch = await newBatch('some value');
  const [request] = await produced(batch);
  const { buffer } = await createRequest({ correlationId: 9, clientId, request: request! });
  const head = 4 + 8 + 2 + clientId.length;
  expect(buffer.readInt32BE(0)).toBe(buffer.length - 4);
  expect(buffer.subarray(4, head)).toEqual(Buffer.concat([int16(0), int16(7), int32(9), int16(clientId.length), Buffer.from(clientId)]));
  const body = [int16(-1), int16(-1), int32(1_000), int32(1), int16(1), Buffer.from('t'), int32(1), int32(0), int32(batch.length), batch];
  expect(buffer.subarray(head)).toEqual(Buffer.concat(body));
  expect(buffer.buffer === batch.buffer).toBe(isInPlace);
});

it('leaves the bytes of a request as they are when the same batch is sent again', async () => {
  const batch = await newBatch('some value');
  const [first, again] = await produced(batch, batch);
  const { buffer } = await createRequest({ correlationId: 1, clientId: 'site', request: first! });
  const before = Buffer.from(buffer);
  const second = await createRequest({ correlationId: 2, clientId: 'site', request: again! });
  expect(buffer).toEqual(before);
  expect(second.buffer.readInt32BE(8)).toBe(2);
  expect(second.buffer.subarray(12)).toEqual(before.subarray(12));
});

async function newBatch(value: string): Promise<Buffer> {
  const record = { key: Buffer.from('k'), value: Buffer.from(value), headers: {} };
  return encodeBatch(await encodeRecords([record], 'none', 0), NO_ORIGIN, () => 0);
}

/** The requests in which these batches go to partition 0 of the topic `t`. */
async function produced(...batches: readonly Buffer[]) {
  const own = new OwnCluster({ connection: { brokers: ['127.0.0.1:1'] }, report: () => undefined, clock: systemClock, answerMs: 1_000 });
  vi.spyOn(own.cluster, 'connect').mockResolvedValue();
  vi.spyOn(own.cluster, 'refreshMetadata').mockResolvedValue();
  vi.spyOn(own.cluster, 'addTargetTopic').mockResolvedValue();
  vi.spyOn(own.cluster, 'findLeaderForPartitions').mockReturnValue({ 1: [0] });
  const requests: Request[] = [];
  const leader = {
    lookupRequest: (_: number, definition: { protocol(choice: object): unknown }) => definition.protocol({ version: 7 }),
    connectionPool: {
      send: async ({ request }: { readonly request: Request }) => {
        requests.push(request);
        return { topics: [{ partitions: [{ baseOffset: '5' }] }] };
      },
    },
  };
  vi.spyOn(own.cluster, 'findBroker').mockResolvedValue(leader);
  for (const batch of batches) expect(await own.produce('t', 0, batch, { acks: 'all', answerMs: 1_000 })).toBe(5n);
  return requests;
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
