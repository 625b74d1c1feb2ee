import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { once } from 'node:events';
import type { Report } from '@evertree/core';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createClient } from './client.ts';

const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js') as { prototype: object };

const NOWHERE = { brokers: ['127.0.0.1:1'] };

describe('the Kafka client', () => {
  const servers: Server[] = [];

  afterEach(() => {
    vi.restoreAllMocks();
    for (const server of servers.splice(0)) server.close();
  });

  it('tells what kafkajs logs at debug, and writes nothing itself', async () => {
    const written = [vi.spyOn(process.stdout, 'write'), vi.spyOn(process.stderr, 'write')];
    const consoles = (['log', 'info', 'warn', 'error'] as const).map(name => vi.spyOn(console, name));
    const reports: Report[] = [];
    const client = createClient(NOWHERE, report => reports.push(report));
    await expect(client.admin({ retry: { retries: 0 } }).connect()).rejects.toThrow('ECONNREFUSED');
    expect(reports.length).toBeGreaterThan(0);
    for (const report of reports) expect(report).toMatchObject({ level: 'debug', event: 'kafka-client' });
    for (const spy of [...written, ...consoles]) expect(spy).not.toHaveBeenCalled();
  });

  it("repeats neither stacks nor other fields of kafkajs's log", () => {
    const reports: Report[] = [];
    createClient(NOWHERE, report => reports.push(report))
      .logger()
      .error('no', { broker: 'b:1', payload: 'secret', stack: 'at …', error: 'so' });
    expect(reports).toEqual([{ level: 'debug', event: 'kafka-client', message: 'no', details: { broker: 'b:1', error: 'so' } }]);
  });

  it('sets no timer while nothing is pending, and none for a time that is past', () => {
    createClient(NOWHERE, () => undefined);
    const timers = vi.spyOn(globalThis, 'setTimeout').mockReturnValue(0 as unknown as NodeJS.Timeout);
    const queue = Object.assign(Object.create(RequestQueue.prototype) as { scheduleCheckPendingRequests(): void }, {
      pending: [] as unknown[],
      throttledUntil: -1,
      throttleCheckTimeoutId: null,
    });
    queue.scheduleCheckPendingRequests();
    expect(timers).not.toHaveBeenCalled();
    queue.pending.push({});
    queue.scheduleCheckPendingRequests();
    expect(timers).toHaveBeenCalledOnce();
    expect(timers.mock.calls[0]?.[1]).toBeGreaterThan(0);
  });

  it('fails what waits for a broker that does not answer, when it is abandoned', async () => {
    const { address, connection } = await silentBroker();
    const client = createClient({ brokers: [address] }, () => undefined);
    const attempt = client.admin({ retry: { retries: 0 } }).connect();
    const failed = expect(attempt).rejects.toThrow('given up');
    await connection;
    client.abandon();
    await failed;
  });

  /** Takes connections and says nothing. */
  async function silentBroker() {
    const server = createServer();
    servers.push(server);
    const connection = once(server, 'connection') as Promise<[Socket]>;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, connection };
  }
});
