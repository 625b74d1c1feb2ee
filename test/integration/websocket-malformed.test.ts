import { once } from 'node:events';
import { createServer } from 'node:http';
import net from 'node:net';
import { dialTransport, listenTransport } from '@evertree/transport/websocket';
import type { DialOptions, ListenOptions } from '@evertree/transport/websocket';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports, strictReport } from '../support/reports.ts';
import { End, frameOf, helloOf, same, WAIT } from '../support/links.ts';

/** What a far end that is broken, hostile or something else altogether sends, and what it costs: its own link. */

const PART = 262_144;
const host = { clock: systemClock, random: systemRandom };
const patient = { pendingConnections: 3 };
/** For a far end that says nothing; the good one still has the time to say hello. */
const impatient = { ...patient, helloTimeoutMs: 1_000, handshakeTimeoutMs: 1_000 };
const hello = Buffer.concat([
  Buffer.of(1),
  Buffer.from(JSON.stringify({ ...(helloOf('primary') as { hello: object }).hello, heartbeatMs: 2000 })),
]);

const undo: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

function part(total: number, offset: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(9 + bytes, 8);
  buffer.writeUInt32LE(total, 1);
  buffer.writeUInt32LE(offset, 5);
  return buffer;
}

let ownPort: number;
let good: { primary: End; secondary: End };
let taken: End[];
let reports: ReturnType<typeof collectReports>['reports'];

/** A listener with a link that is well. */
async function listen(limits: ListenOptions['limits']): Promise<void> {
  const collected = collectReports();
  reports = collected.reports;
  taken = [];
  const listener = listenTransport({ ...host, report: collected.report, port: 0, limits });
  await listener.open({ link: link => void taken.push(new End(link).attach()), failed: () => undefined });
  ownPort = listener.port;
  undo.push(() => listener.close());
  const diallers: End[] = [];
  const dialler = dialTransport({ ...host, report: strictReport, remotes: [{ address: '127.0.0.1', port: ownPort }], retryIntervalMs: 10 });
  await dialler.open({ link: link => void diallers.push(new End(link).attach()), failed: () => undefined });
  undo.push(() => dialler.close());
  await vi.waitFor(() => expect([taken.length, diallers.length]).toEqual([1, 1]), WAIT);
  good = { primary: diallers[0]!, secondary: taken[0]! };
  good.primary.link.send(helloOf('primary'));
  good.secondary.link.send(helloOf('secondary'));
  await good.secondary.received(1);
}

/** Others are unaffected: the good link still carries what it is given. */
async function expectUnharmed(): Promise<void> {
  const count = good.secondary.messages.length;
  good.primary.link.send(frameOf(1, 300_000));
  const received = await good.secondary.received(count + 1);
  expect(same(received[count]!, frameOf(1, 300_000))).toBe(true);
  expect([...good.primary.closings, ...good.secondary.closings]).toEqual([]);
}

async function connect(options: { hello?: boolean } = {}): Promise<{ websocket: WebSocket; socket: net.Socket; code: Promise<number> }> {
  const websocket = new WebSocket(`ws://127.0.0.1:${ownPort}/`, ['evertree.4'], { perMessageDeflate: false });
  let socket: net.Socket | undefined;
  websocket.on('upgrade', response => (socket = response.socket));
  websocket.on('error', () => undefined);
  const code = new Promise<number>(resolve => void websocket.on('close', resolve));
  await once(websocket, 'open');
  undo.push(() => websocket.terminate());
  await vi.waitFor(() => expect(taken.length).toBe(2), WAIT);
  if (options.hello !== false) websocket.send(hello);
  return { websocket, socket: socket!, code };
}

describe('a listener', () => {
  beforeEach(() => listen(patient));

  const messages: Record<string, { send: (Buffer | string)[]; code?: number; says?: RegExp }> = {
    'a text message': { send: ['{"type":"hello"}'], says: /a text message/ },
    'an empty message': { send: [Buffer.alloc(0)], says: /empty/ },
    'an unknown type': { send: [Buffer.from('X')], says: /unknown type 88/ },
    'random bytes': { send: [Buffer.from('f3a9c1770bd2e4', 'hex')], says: /unknown type 243/ },
    'a frame cut short': { send: [Buffer.from(frameOf(1, 50).bytes).subarray(0, 150)], says: /says that it has/ },
    'a frame of another format version': { send: [Buffer.from(frameOf(1, 50).bytes).fill(9, 4, 5)], says: /version 9/ },
    'a snapshot-begin that is no JSON': { send: [Buffer.from('\u0005{{')], says: /not JSON/ },
    'a snapshot-begin in broken UTF-8': { send: [Buffer.from([5, 0x22, 0xff, 0x22])], says: /UTF-8/ },
    'what only a primary is sent': {
      send: [Buffer.concat([Buffer.of(4), Buffer.alloc(20)])],
      says: /a resend, which a secondary is not sent/,
    },
    'a message that is too large': { send: [Buffer.alloc(PART + 10, 6)], code: 1009, says: /Max payload size/ },
    'parts that begin in the middle': { send: [part(3 * PART, PART, PART)], says: /was due/ },
    'parts with a hole': { send: [part(3 * PART, 0, PART), part(3 * PART, 2 * PART, PART)], says: /was due/ },
    'parts with something between': { send: [part(3 * PART, 0, PART), Buffer.from('\u0006chunk')], says: /between the parts/ },
    'parts of 4 GiB': { send: [part(0xffff_ffff, 0, PART)], says: /the limit here/ },
    'parts that make up nonsense': { send: [part(PART + 10, 0, PART), part(PART + 10, PART, 10)], says: /unknown type 8/ },
    'a part of one byte': { send: [Buffer.of(8)], says: /a part of 1 bytes/ },
  };

  test.for(Object.entries(messages))('closes on %s, and only that link', async ([, { send, code, says }]) => {
    const client = await connect();
    for (const message of send) client.websocket.send(message);
    expect(await client.code).toBe(code ?? 4008);
    const closing = await taken[1]!.closed();
    expect(closing).toMatchObject({ reason: 'protocol-violation', byPeer: false });
    expect(closing.explanation).toMatch(says ?? /./);
    expect(taken[1]!.messages.map(message => message.type)).toEqual(['hello']);
    await expectUnharmed();
  });

  const unknown: Record<string, { send: Buffer[]; says: RegExp }> = {
    'something before hello': { send: [Buffer.from(frameOf(1, 10).bytes)], says: /before hello/ },
    'a heartbeat before hello': { send: [Buffer.of(2)], says: /before hello/ },
    'a hello of more than 1 MiB': { send: [part(1024 * 1024 + 1, 0, PART)], says: /the limit here is 1048576/ },
    'a hello that lacks everything': { send: [Buffer.from('\u0001{}')], says: /hello whose protocols/ },
  };

  test.for(Object.entries(unknown))('closes on %s', async ([, { send, says }]) => {
    const client = await connect({ hello: false });
    for (const message of send) client.websocket.send(message);
    expect(await client.code).toBe(4008);
    expect((await taken[1]!.closed()).explanation).toMatch(says);
    expect(taken[1]!.messages).toEqual([]);
    await expectUnharmed();
  });

  const raw: Record<string, { bytes: Buffer; code: number }> = {
    'reserved bits': { bytes: Buffer.from('f280', 'hex'), code: 1002 },
    'a frame without a mask': { bytes: Buffer.from('820102', 'hex'), code: 1002 },
    'a close frame in broken UTF-8': { bytes: Buffer.from('88830000000003e8ff', 'hex'), code: 1007 },
    'a message that says it has 2^63 bytes': { bytes: Buffer.from('82ffffffffffffffffff00000000', 'hex'), code: 1009 },
  };

  test.for(Object.entries(raw))('closes on WebSocket with %s', async ([, { bytes, code }]) => {
    const client = await connect();
    client.socket.write(bytes);
    expect(await client.code).toBe(code);
    expect((await taken[1]!.closed()).reason).toBe('protocol-violation');
    await expectUnharmed();
  });

  test('treats a connection that breaks in the middle of a message as lost', async () => {
    const client = await connect();
    client.socket.write(Buffer.from('82fe1000', 'hex'));
    client.socket.resetAndDestroy();
    expect(await taken[1]!.closed()).toMatchObject({ reason: 'lost', byPeer: false });
    await expectUnharmed();
  });

  test('treats an unknown close code as lost, and shows no control characters of the explanation', async () => {
    const client = await connect();
    client.websocket.close(4999, '\u001b[2Jgone');
    expect(await taken[1]!.closed()).toEqual({ reason: 'lost', explanation: '[2Jgone', byPeer: true });
  });

  const foreign: Record<string, { bytes: string | Buffer; answer: RegExp }> = {
    'a plain request': { bytes: 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', answer: /^HTTP\/1\.1 426 .*speaks the Evertree protocol/s },
    'bytes of another protocol': { bytes: Buffer.from('EVTF\u0001\u0000\u0000rubbish\r\n\r\n'), answer: /^HTTP\/1\.1 400/ },
    'TLS where there is none': { bytes: Buffer.from('16030100f0010000ec0303', 'hex'), answer: /^HTTP\/1\.1 400/ },
    'headers without end': { bytes: `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(10_000)}`, answer: /^HTTP\/1\.1 400/ },
    'a handshake without a key': {
      bytes: 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: evertree.4\r\n\r\n',
      answer: /^HTTP\/1\.1 400/,
    },
    'another kind of upgrade': {
      bytes: 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Protocol: evertree.4\r\n\r\n',
      answer: /^HTTP\/1\.1 400/,
    },
  };

  test.for(Object.entries(foreign))('answers %s and closes the connection', ([, { bytes, answer }]) => expectAnswer(bytes, answer));
});

async function expectAnswer(bytes: string | Buffer, answer: RegExp): Promise<void> {
  const socket = net.connect(ownPort, '127.0.0.1');
  let text = '';
  socket.on('data', data => (text += data.toString('latin1')));
  socket.on('error', () => socket.destroy());
  socket.write(bytes);
  await once(socket, 'close');
  expect(text).toMatch(answer);
  expect(taken.length).toBe(1);
  await expectUnharmed();
}

describe('a listener that waits for a second', () => {
  beforeEach(() => listen(impatient));

  test('closes on no hello in time', async () => {
    const client = await connect({ hello: false });
    expect(await client.code).toBe(4008);
    expect((await taken[1]!.closed()).explanation).toMatch(/no hello from .* within 1000 ms/);
    expect(taken[1]!.messages).toEqual([]);
    await expectUnharmed();
  });

  test.each(['', 'GET / HT'])('closes on half a request: %j', bytes => expectAnswer(bytes, /^$/));

  test('holds a few connections that have not said hello, and drops the oldest for a new one', async () => {
    const closed: number[] = [];
    const sockets = Array.from({ length: 4 }, (_, index) => {
      const socket = net.connect(ownPort, '127.0.0.1');
      socket.on('error', () => socket.destroy());
      socket.on('close', () => closed.push(index));
      undo.push(() => void socket.destroy());
      return socket;
    });
    await vi.waitFor(() => expect(closed).toContain(0), WAIT);
    expect(sockets.length).toBe(4);
    await vi.waitFor(() => expect(new Set(closed)).toEqual(new Set([0, 1, 2, 3])), WAIT);
    expect(reports.filter(each => each.event === 'connection-refused').length).toBe(4);
    await expectUnharmed();
  });
});

/** Dials a server that is no consumer, and collects what it tells. */
async function dial(port: number, limits: DialOptions['limits'] = {}) {
  const told = { links: [] as End[], failures: [] as { message: string; code: unknown }[] };
  const remotes = [{ address: '127.0.0.1', port }];
  const dialler = dialTransport({ ...host, report: strictReport, remotes, retryIntervalMs: 10, limits });
  undo.push(() => dialler.close());
  await dialler.open({
    link: link => void told.links.push(new End(link).attach()),
    failed: (_, error) => void told.failures.push({ message: error.message, code: (error as { code?: unknown }).code }),
  });
  return told;
}

async function serve(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => void server.close());
  return (server.address() as net.AddressInfo).port;
}

async function expectClosed(send: readonly Buffer[], says: RegExp, limits: DialOptions['limits'] = {}): Promise<void> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  undo.push(() => server.close());
  const codes: number[] = [];
  server.on('connection', websocket => {
    websocket.on('close', code => codes.push(code));
    for (const message of send) websocket.send(message);
  });
  const { links } = await dial((server.address() as net.AddressInfo).port, limits);
  await vi.waitFor(() => expect(codes.length).toBeGreaterThanOrEqual(2), WAIT);
  expect(codes[0]).toBe(4008);
  expect(links[0]!.closings[0]).toMatchObject({ reason: 'protocol-violation', byPeer: false });
  expect(links[0]!.closings[0]!.explanation).toMatch(says);
}

describe('a dialler', () => {
  const malformed: Record<string, { send: Buffer[]; says: RegExp }> = {
    'something before hello': { send: [Buffer.concat([Buffer.of(4), Buffer.alloc(20)])], says: /before hello/ },
    'a frame': { send: [hello, Buffer.from(frameOf(1, 10).bytes)], says: /a frame, which a primary is not sent/ },
    'an acknowledge cut short': { send: [hello, Buffer.alloc(30, 3)], says: /acknowledge of 30 bytes/ },
  };

  test.for(Object.entries(malformed))('closes on %s, and dials again', ([, { send, says }]) => expectClosed(send, says));

  test('closes on no hello in time, and dials again', () => expectClosed([], /no hello/, { helloTimeoutMs: 150 }));

  test('reports a server that is no consumer, with its answer without control characters', async () => {
    const server = createServer((_, response) => void response.writeHead(200).end('<h1>\u001b[31mwelcome</h1>\nmore'));
    const { failures } = await dial(await serve(server));
    await vi.waitFor(() => expect(failures.length).toBeGreaterThanOrEqual(2), WAIT);
    expect(failures[0]!.message).toMatch(/refused the connection \(200\): <h1> ?\[31mwelcome<\/h1>; is it an Evertree consumer\?$/);
  });

  test('gives up on a body without end, and on a server that never answers', async () => {
    const endless = createServer((_, response) => {
      const write = () => void response.write('x'.repeat(500), () => setImmediate(write));
      write();
    });
    const { failures } = await dial(await serve(endless));
    await vi.waitFor(() => expect(failures.length).toBeGreaterThanOrEqual(1), WAIT);
    expect(failures[0]!.message.length).toBeLessThan(1200);

    const mute = net.createServer(socket => void socket.on('error', () => socket.destroy()));
    const muted = await dial(await serve(mute), { handshakeTimeoutMs: 150 });
    await vi.waitFor(() => expect(muted.failures.length).toBeGreaterThanOrEqual(1), WAIT);
    expect(muted.failures[0]!.message).toMatch(/no answer within 150 ms/);
  });

  test('reports bytes that are no HTTP, and an upgrade to another protocol', async () => {
    const rubbish = net.createServer(socket => void socket.on('error', () => socket.destroy()).end('rubbish\r\n\r\n'));
    const first = await dial(await serve(rubbish));
    await vi.waitFor(() => expect(first.failures.length).toBeGreaterThanOrEqual(1), WAIT);
    expect(first.failures[0]).toMatchObject({ code: 'UNREACHABLE' });

    const other = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' });
    await once(other, 'listening');
    undo.push(() => other.close());
    const second = await dial((other.address() as net.AddressInfo).port);
    await vi.waitFor(() => expect(second.failures.length).toBeGreaterThanOrEqual(1), WAIT);
    expect(second.failures[0]!.message).toMatch(/invalid subprotocol/);
    expect(second.links).toEqual([]);
  });
});
