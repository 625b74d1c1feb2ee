import net from 'node:net';
import type { Hello } from '@evertree/core';
import { dialTransport, listenTransport } from '@evertree/transport/websocket';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { systemClock, systemRandom } from '../support/host.ts';
import { End, helloOf, WAIT } from '../support/links.ts';
import { collectReports, strictReport } from '../support/reports.ts';

/** Ends of unlike versions of PROTOCOL.md: each refuses the other, and names the versions. */

const host = { clock: systemClock, random: systemRandom, report: strictReport };

/** What a primary of an earlier version sent to open a link, byte for byte. */
const openingOf = (version: number) =>
  [
    'GET / HTTP/1.1',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Sec-WebSocket-Protocol: evertree.${version}`,
    'Host: 127.0.0.1',
    '',
    '',
  ].join('\r\n');

/** What a secondary of an earlier version answered to one that offered only a later one, byte for byte. */
const refusalOf = (version: number) =>
  [
    'HTTP/1.1 400 Bad Request',
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Length: 47',
    '',
    `no protocol version in common: here evertree.${version}\n`,
  ].join('\r\n');

const undo: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

async function listen(): Promise<{ readonly port: number; readonly links: End[]; readonly reports: ReturnType<typeof collectReports> }> {
  const reports = collectReports();
  const links: End[] = [];
  const listener = listenTransport({ ...host, report: reports.report, port: 0 });
  await listener.open({ link: link => void links.push(new End(link).attach()), failed: () => undefined });
  undo.push(() => listener.close());
  return { port: listener.port, links, reports };
}

describe.each([1, 2, 3])('a primary of version %d', version => {
  test('is refused by a secondary of version 4, which names the version that it speaks', async () => {
    const { port, links, reports } = await listen();
    const socket = net.connect(port, '127.0.0.1');
    undo.push(() => void socket.destroy());
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (piece: string) => (answer += piece));
    socket.write(openingOf(version));
    await vi.waitFor(() => expect(answer).toMatch(/^HTTP\/1\.1 400 .*no protocol version in common: here evertree\.4\n$/s), WAIT);
    expect(links).toEqual([]);
    expect(reports.reports).toMatchObject([{ event: 'connection-refused', message: expect.stringContaining('here evertree.4') as string }]);
  });

  test('is refused for its hello if it opened a link of version 4 all the same', async () => {
    const { port, links } = await listen();
    const websocket = new WebSocket(`ws://127.0.0.1:${port}/`, ['evertree.4'], { perMessageDeflate: false });
    undo.push(() => websocket.terminate());
    websocket.on('error', () => undefined);
    const { hello } = helloOf('primary', { protocols: [version] }) as { hello: Hello };
    websocket.on('open', () => websocket.send(Buffer.concat([Buffer.of(1), Buffer.from(JSON.stringify({ ...hello, heartbeatMs: 2000 }))])));
    const closed = new Promise<[number, string]>(resolve => {
      websocket.on('close', (code, reason) => resolve([code, reason.toString()]));
    });
    expect(await closed).toEqual([4009, `this link speaks version 4, the far end ${version}; here 4`]);
    expect(links[0]?.messages).toEqual([]);
  });
});

describe.each([1, 2, 3])('a secondary of version %d', version => {
  test('refuses a primary of version 4, and the primary says which versions they speak', async () => {
    const offers: string[] = [];
    const server = net.createServer(socket => {
      socket.on('error', () => undefined);
      socket.once('data', (bytes: Buffer) => {
        offers.push(/Sec-WebSocket-Protocol: (.*)/.exec(bytes.toString())?.[1] ?? '');
        socket.end(refusalOf(version));
      });
    });
    await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve));
    undo.push(() => new Promise(resolve => void server.close(resolve)));
    const failures: Error[] = [];
    const { port } = server.address() as net.AddressInfo;
    const dialler = dialTransport({ ...host, remotes: [{ address: '127.0.0.1', port }], retryIntervalMs: 60_000 });
    await dialler.open({ link: () => undefined, failed: (_, error) => void failures.push(error) });
    undo.push(() => dialler.close());
    await vi.waitFor(() => expect(failures.length).toBe(1), WAIT);
    expect(offers).toEqual(['evertree.4']);
    expect(failures[0]!.message).toMatch(
      /refused the connection \(400\): no protocol version in common: here evertree\.\d; this site speaks evertree\.4: bring both/,
    );
  });
});
