import { once } from 'node:events';
import net from 'node:net';
import { ORIGIN } from '@evertree/core';
import type { Clock } from '@evertree/core';
import { dialTransport, listenTransport } from '@evertree/transport/websocket';
import type { ListenOptions, WireLimits } from '@evertree/transport/websocket';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ManualClock, systemClock, systemRandom } from '../support/host.ts';
import { collectReports, strictReport } from '../support/reports.ts';
import { End, frameOf, helloOf, WAIT } from '../support/links.ts';

/** Where a consumer listens, what becomes of it when it can't, and how a producer comes back. */

const host = { clock: systemClock, random: systemRandom, report: strictReport };

const undo: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

function listen(options: Partial<ListenOptions>) {
  const told = { links: [] as End[], failures: [] as { remote: string; error: Error & { code?: string }; retryInMs: number }[] };
  const listener = listenTransport({ ...host, port: 0, ...options });
  undo.push(() => listener.close());
  const open = () =>
    listener.open({
      link: link => void told.links.push(new End(link).attach()),
      failed: (remote, error, retryInMs) => void told.failures.push({ remote, error, retryInMs }),
    });
  return { listener, open, ...told };
}

async function dial(port: number, clock: Clock = systemClock, limits: Partial<WireLimits> = {}) {
  const links: End[] = [];
  const failures: { error: Error; retryInMs: number }[] = [];
  const remotes = [{ address: '127.0.0.1', port }];
  const random = { ...systemRandom, fraction: () => 0.5 };
  const dialler = dialTransport({ ...host, clock, random, limits, remotes, retryIntervalMs: 1000 });
  undo.push(() => dialler.close());
  await dialler.open({
    link: link => void links.push(new End(link).attach()),
    failed: (_, error, retryInMs) => void failures.push({ error, retryInMs }),
  });
  return { dialler, links, failures };
}

/** Holds a port as another program would. */
async function occupy(port = 0): Promise<net.Server> {
  const server = net.createServer(socket => void socket.destroy());
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => void server.close());
  return server;
}

const portOf = (server: net.Server) => (server.address() as net.AddressInfo).port;

async function release(server: net.Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

describe('a listener', () => {
  test('listens on loopback only, unless another address is configured', async () => {
    const { listener, open } = listen({});
    await open();
    const own = net.connect(listener.port, '127.0.0.1');
    await once(own, 'connect');
    own.destroy();
    const elsewhere = net.connect(listener.port, '127.0.0.2');
    await expect(once(elsewhere, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('with a port in use says so, and what to do', async () => {
    const port = portOf(await occupy());
    const { open, failures } = listen({ port });
    await expect(open()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: `can't listen on 127.0.0.1:${port}: another process has this port; stop it, or choose another listening-port (EADDRINUSE)`,
    });
    expect(failures).toEqual([]);
  });

  test('with an address of another machine says so', async () => {
    await expect(listen({ address: '192.0.2.1' }).open()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/can't listen on 192\.0\.2\.1:0: this machine has no such address/) as unknown,
    });
  });

  test('that restarts waits for its port, with growing intervals', async () => {
    const other = await occupy();
    const port = portOf(other);
    const listens = vi.spyOn(net.Server.prototype, 'listen');
    undo.push(() => listens.mockRestore());
    const { open, failures, links } = listen({ port, autoRestart: true, retryIntervalMs: 5 });
    await open();
    await vi.waitFor(() => expect(failures.length).toBeGreaterThanOrEqual(3), WAIT);
    expect(failures[0]).toMatchObject({ remote: `127.0.0.1:${port}`, error: { code: 'UNREACHABLE' } });
    expect(failures[2]!.retryInMs).toBeGreaterThan(failures[0]!.retryInMs);
    await release(other);
    await vi.waitFor(async () => {
      const socket = net.connect(port, '127.0.0.1');
      undo.push(() => void socket.destroy());
      await once(socket, 'connect');
    }, WAIT);
    expect(links).toEqual([]);
    // After a success the intervals start again from the first.
    (listens.mock.contexts.at(-1) as net.Server).emit('error', new Error('accept failed'));
    expect(failures.at(-1)!.retryInMs).toBeLessThanOrEqual(6);
  });

  test('that fails later binds again, if it restarts; otherwise it reports that it has ended. Its links stay', async () => {
    const listens = vi.spyOn(net.Server.prototype, 'listen');
    undo.push(() => listens.mockRestore());
    for (const autoRestart of [true, false]) {
      const { listener, open, links, failures } = listen({ autoRestart, retryIntervalMs: 5 });
      await open();
      const server = listens.mock.contexts.at(-1) as net.Server;
      const { links: dialled } = await dial(listener.port);
      await vi.waitFor(() => expect([links.length, dialled.length]).toEqual([1, 1]), WAIT);
      dialled[0]!.link.send(helloOf('primary'));

      server.emit('error', Object.assign(new Error('accept failed'), { code: 'EMFILE' }));
      expect(failures).toMatchObject([{ error: { code: 'UNREACHABLE', message: expect.stringMatching(/accept failed/) as unknown } }]);
      expect(Number.isFinite(failures[0]!.retryInMs)).toBe(autoRestart);
      dialled[0]!.link.send(frameOf(1, 10));
      await links[0]!.received(2);
      if (autoRestart) {
        const second = await dial(listener.port);
        await vi.waitFor(() => expect(links.length).toBe(2), WAIT);
        await second.dialler.close();
      } else {
        const second = await dial(listener.port);
        await vi.waitFor(() => expect(second.failures.length).toBe(1), WAIT);
      }
    }
  });

  test('that closes while it waits to bind again stops', async () => {
    const clock = new ManualClock();
    const other = await occupy();
    const { listener, open, failures } = listen({ port: portOf(other), autoRestart: true, clock });
    await open();
    expect(failures.length).toBe(1);
    await listener.close();
    clock.advance(1_000_000);
    await release(other);
    await expect(once(net.connect(listener.port, '127.0.0.1'), 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('that closes gives its port back, also with connections that said nothing', async () => {
    const { listener, open } = listen({});
    await open();
    const mute = net.connect(listener.port, '127.0.0.1');
    await once(mute, 'connect');
    await Promise.all([listener.close(), listener.close(), once(mute.resume(), 'close')]);
    await expect(occupy(listener.port)).resolves.toBeDefined();
  });

  test('forgets connections that end by themselves', async () => {
    const { reports, report } = collectReports();
    const listens = vi.spyOn(net.Server.prototype, 'listen');
    undo.push(() => listens.mockRestore());
    const { listener, open } = listen({ report, limits: { pendingConnections: 1 } });
    await open();
    const server = listens.mock.contexts.at(-1) as net.Server;
    for (let count = 0; count < 5; count++) {
      const taken = once(server, 'connection') as Promise<[net.Socket]>;
      const socket = net.connect(listener.port, '127.0.0.1').resume();
      // The near end may see the end before the listener does.
      const ended = once((await taken)[0], 'close');
      socket.end();
      await ended;
    }
    await listener.close();
    expect(reports).toEqual([]);
  });

  test('has a time limit for hello while it reads, not while it is paused', async () => {
    const clock = new ManualClock();
    const { listener, open, links } = listen({ clock, limits: { helloTimeoutMs: 1000, heartbeatMs: 3_600_000 } });
    await open();
    const { links: dialled } = await dial(listener.port);
    await vi.waitFor(() => expect([links.length, dialled.length]).toEqual([1, 1]), WAIT);
    links[0]!.link.pause();
    dialled[0]!.link.send(helloOf('primary'));
    clock.advance(10_000);
    links[0]!.link.resume();
    await links[0]!.received(1);
    clock.advance(10_000);
    expect(links[0]!.closings).toEqual([]);
  });

  test('with a limit that makes no sense is refused, naming it', () => {
    expect(() => listenTransport({ ...host, port: 0, limits: { heartbeatMs: 1 } })).toThrow(/limits\.heartbeatMs: /);
    expect(() => listenTransport({ ...host, port: 0, limits: { writableBytes: 0.5 } })).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID' }),
    );
  });
});

describe('a dialler', () => {
  test('waits longer after each failure, and tells how long', async () => {
    const clock = new ManualClock();
    const other = await occupy();
    const port = portOf(other);
    await release(other);
    const { failures, dialler } = await dial(port, clock);
    for (let count = 1; count <= 4; count++) {
      await vi.waitFor(() => expect(failures.length).toBe(count), WAIT);
      expect(clock.nextInMs).toBe(failures[count - 1]!.retryInMs);
      clock.advance(clock.nextInMs);
    }
    await vi.waitFor(() => expect(failures.length).toBe(5), WAIT);
    expect(failures.map(each => each.retryInMs)).toEqual([1000, 1500, 2250, 3375, 5062.5]);
    expect(failures[0]!.error.message).toMatch(/can't reach 127\.0\.0\.1:\d+: nothing listens there; start the consumer/);
    await dialler.close();
    const server = await occupy(port);
    let connections = 0;
    server.on('connection', () => (connections += 1));
    clock.advance(1_000_000);
    const own = net.connect(port, '127.0.0.1');
    await once(own.resume(), 'close');
    expect([failures.length, connections]).toEqual([5, 1]);
  });

  test('waits six intervals at most while the far machine is up and nobody listens there', async () => {
    const clock = new ManualClock();
    const other = await occupy();
    const port = portOf(other);
    await release(other);
    const { failures } = await dial(port, clock);
    for (let count = 1; count <= 8; count++) {
      await vi.waitFor(() => expect(failures.length).toBe(count), WAIT);
      clock.advance(clock.nextInMs);
    }
    expect(failures.slice(5, 8).map(each => each.retryInMs)).toEqual([6000, 6000, 6000]);
  });

  test('waits longer after each link that ends at once, and one interval after a link that lived', async () => {
    const clock = new ManualClock();
    const { listener, open, links: taken } = listen({});
    await open();
    const { links } = await dial(listener.port, clock, { heartbeatMs: 3_600_000, helloTimeoutMs: 3_600_000 });
    const next = async (count: number, afterMs: number) => {
      await vi.waitFor(() => expect(links[count - 2]!.closings.length).toBe(1), WAIT);
      expect(clock.nextInMs).toBe(afterMs);
      clock.advance(afterMs);
      await vi.waitFor(() => expect([links.length, taken.length]).toEqual([count, count]), WAIT);
    };
    await vi.waitFor(() => expect(taken.length).toBe(1), WAIT);
    taken[0]!.link.close('refused', 'no');
    await next(2, 1000);
    // A hello does not count as a working link: a secondary that refuses says hello, too.
    taken[1]!.link.send(helloOf('secondary'));
    await links[1]!.received(1);
    taken[1]!.link.close('refused', 'no');
    await next(3, 1500);
    // The secondary's second message: it takes this primary.
    taken[2]!.link.send(helloOf('secondary'));
    taken[2]!.link.send({ type: 'resend', after: ORIGIN });
    await links[2]!.received(2);
    taken[2]!.link.close('going-away', '');
    await next(4, 1000);
    taken[3]!.link.close('refused', 'no');
    await next(5, 1500);
    clock.advance(10_000);
    taken[4]!.link.close('refused', 'no');
    await next(6, 1000);
  });

  test('that asks for few heartbeats sends as many as the listener asks for, and the other way round', async () => {
    for (const [listening, dialling] of [
      [60, 60_000],
      [60_000, 60],
    ] as const) {
      const { listener, open, links: taken } = listen({ limits: { heartbeatMs: listening } });
      await open();
      const remotes = [{ address: '127.0.0.1', port: listener.port }];
      const links: End[] = [];
      const dialler = dialTransport({ ...host, remotes, retryIntervalMs: 5, limits: { heartbeatMs: dialling } });
      undo.push(() => dialler.close());
      await dialler.open({ link: link => void links.push(new End(link).attach()), failed: () => undefined });
      await vi.waitFor(() => expect([links.length, taken.length]).toEqual([1, 1]), WAIT);
      links[0]!.link.send(helloOf('primary'));
      taken[0]!.link.send(helloOf('secondary'));
      const judge = listening < dialling ? taken[0]! : links[0]!;
      const since = judge.link.lastSeen;
      await vi.waitFor(() => expect(judge.link.lastSeen).toBeGreaterThanOrEqual(since + 300), WAIT);
      expect([links.length, ...judge.closings]).toEqual([1]);
    }
  });

  test('with an invalid address is refused at open', async () => {
    for (const remote of [
      { address: 'two words', port: 1 },
      { address: 'host', port: 70_000 },
    ]) {
      const dialler = dialTransport({ ...host, remotes: [remote], retryIntervalMs: 1 });
      await expect(dialler.open({ link: () => undefined, failed: () => undefined })).rejects.toMatchObject({
        code: 'CONFIGURATION_INVALID',
      });
    }
  });

  test('with a name that does not resolve goes on trying', async () => {
    const failures: string[] = [];
    const dialler = dialTransport({ ...host, remotes: [{ address: 'nobody.invalid', port: 1 }], retryIntervalMs: 5 });
    undo.push(() => dialler.close());
    await dialler.open({ link: () => undefined, failed: (_, error) => void failures.push(error.message) });
    await vi.waitFor(() => expect(failures.length).toBeGreaterThanOrEqual(1), WAIT);
    expect(failures[0]).toMatch(/can't reach nobody\.invalid:1: /);
  });

  test('dials several remotes, each for itself', async () => {
    const first = listen({});
    const second = listen({});
    await first.open();
    await second.open();
    const remotes = [first, second].map(each => ({ address: '127.0.0.1', port: each.listener.port }));
    const dialler = dialTransport({ ...host, remotes: [...remotes, { address: '127.0.0.1', port: 1 }], retryIntervalMs: 5 });
    undo.push(() => dialler.close());
    const links: string[] = [];
    let failures = 0;
    await dialler.open({ link: link => void links.push(link.remote), failed: () => void failures++ });
    await vi.waitFor(() => expect([links.length, failures > 1]).toEqual([2, true]), WAIT);
    expect(links.toSorted()).toEqual(remotes.map(each => `127.0.0.1:${each.port}`).toSorted());
    expect(dialler.remotes).toEqual([...remotes, { port: 1 }].map(each => `127.0.0.1:${each.port}`));
  });
});
