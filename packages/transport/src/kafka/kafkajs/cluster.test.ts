import { expect, it, vi } from 'vitest';
import { systemClock } from '../../../../../test/support/host.ts';
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
