import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startTcpProxy } from './tcp-proxy.ts';

const undo: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

/** A server that sends back what it gets, a proxy before it, and a client that went through both. */
async function network() {
  const server = net.createServer(socket => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => void server.close());
  const proxy = await startTcpProxy({ port: (server.address() as net.AddressInfo).port });
  undo.push(() => proxy.close());
  const connect = async () => {
    const client = net.connect(proxy.port, proxy.host);
    const heard = { bytes: 0, closed: false };
    client.on('data', bytes => (heard.bytes += bytes.length));
    client.on('error', () => client.destroy());
    client.on('close', () => (heard.closed = true));
    await new Promise(resolve => client.on('connect', resolve).on('close', resolve));
    undo.push(() => void client.destroy());
    return { client, heard };
  };
  return { server, proxy, connect, ...(await connect()) };
}

describe('a TCP proxy', () => {
  test('forwards bytes both ways, and the end of them', async () => {
    const { client, heard, proxy } = await network();
    client.end(Buffer.alloc(3_000_000));
    await vi.waitFor(() => expect(heard).toEqual({ bytes: 3_000_000, closed: true }));
    expect(proxy.forwardedBytes).toBe(6_000_000);
    await vi.waitFor(() => expect(proxy.connections).toBe(0));
  });

  test('delays', async () => {
    const { client, heard, proxy } = await network();
    proxy.setDelay(60);
    const before = performance.now();
    client.write('x');
    await vi.waitFor(() => expect(heard.bytes).toBe(1), { interval: 5 });
    expect(performance.now() - before).toBeGreaterThanOrEqual(119);
  });

  test('throttles, and stalls without losing anything', async () => {
    const { client, heard, proxy } = await network();
    proxy.setRate(100_000);
    const before = performance.now();
    client.write(Buffer.alloc(10_000));
    await vi.waitFor(() => expect(heard.bytes).toBe(10_000));
    expect(performance.now() - before).toBeGreaterThanOrEqual(75);
    proxy.setRate(0);
    client.write(Buffer.alloc(5_000_000));
    proxy.setRate(undefined);
    await vi.waitFor(() => expect(heard.bytes).toBe(5_010_000));
  });

  test('cuts, at once or after some bytes; new connections work', async () => {
    const { client, heard, proxy, connect } = await network();
    proxy.cutAfter(5);
    client.write('0123456789');
    await vi.waitFor(() => expect(heard.closed).toBe(true));
    expect(proxy.forwardedBytes).toBe(5);
    const next = await connect();
    next.client.write('0123456789');
    await vi.waitFor(() => expect(next.heard.bytes).toBe(10));
    proxy.cut();
    await vi.waitFor(() => expect(next.heard.closed).toBe(true));
  });

  test('leaves connections half-open: nothing arrives, and neither end is told', async () => {
    const { client, heard, proxy, connect, server } = await network();
    client.write('x');
    await vi.waitFor(() => expect(heard.bytes).toBe(1));
    proxy.halfOpen();
    client.write('y');
    const next = await connect();
    next.client.write('z');
    await vi.waitFor(() => expect(next.heard.bytes).toBe(1));
    expect(heard).toEqual({ bytes: 1, closed: false });
    const connections = () => new Promise(resolve => server.getConnections((_, count) => resolve(count)));
    client.destroy();
    next.client.destroy();
    await vi.waitFor(async () => expect(await connections()).toBe(1));
  });

  test('refuses new connections, or takes them and stays silent', async () => {
    const { client, heard, proxy, connect } = await network();
    proxy.setAccepting('refuse');
    const refused = await connect();
    await vi.waitFor(() => expect(refused.heard.closed).toBe(true));
    proxy.setAccepting('silent');
    const silent = await connect();
    silent.client.write('x');
    client.write('x');
    await vi.waitFor(() => expect(heard.bytes).toBe(1));
    expect(silent.heard).toEqual({ bytes: 0, closed: false });
  });
});
