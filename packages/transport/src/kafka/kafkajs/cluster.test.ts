import { expect, it, vi } from 'vitest';
import { systemClock } from '../../../../../test/support/host.ts';
import { LATEST } from '../client/record-wire.ts';
import { READ_COMMITTED } from '../client/settings.ts';
import { OwnCluster } from './cluster.ts';

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
