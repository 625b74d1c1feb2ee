import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ListenOptions, listenTransport } from '@evertree/transport/websocket';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type FileReport, checkFile, statusOf } from '../../packages/evertree/src/commands/file-check.ts';
import type { Finding } from '../../packages/evertree/src/commands/finding.ts';
import { type Certificate, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports } from '../support/reports.ts';

/** `check-config --connect` with files for WebSocket: it shakes hands as a site would. */

const CONNECT_MS = 5_000;
const TOKEN = 'correct-horse-battery';

let folder: string;
let authority: Certificate;
let certificate: Certificate;
const undo: (() => unknown)[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evertree-connect-'));
  authority = await makeAuthority();
  certificate = await makeCertificate(authority);
  write('authority.pem', authority.certificate);
  write('token', TOKEN);
  write('wrong', `in${TOKEN}`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const each of undo.splice(0)) await each();
});

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text, { mode: 0o600 });
}

async function consumer(options: Partial<ListenOptions> = {}): Promise<number> {
  const transport = listenTransport({ clock: systemClock, random: systemRandom, report: () => undefined, port: 0, ...options });
  undo.push(() => transport.close());
  await transport.open({ link: () => undefined, failed: () => undefined });
  return transport.port;
}

async function check(
  port: number,
  sections: object = {},
  connectMs = CONNECT_MS,
): Promise<FileReport & { readonly findings: readonly Finding[] }> {
  const file = join(folder, 'producer.json');
  writeFileSync(file, JSON.stringify({ 'netty-connection': { 'consumer-address': '127.0.0.1', 'consumer-port': port }, ...sections }));
  const checked = await checkFile(file, connectMs);
  return { ...checked, findings: checked.findings ?? [] };
}

async function expectFinding(checked: FileReport, level: Finding['level'], message: RegExp, status: number): Promise<void> {
  expect(checked).toMatchObject({ problems: [], findings: [{ level, message: expect.stringMatching(message) }] });
  expect(statusOf([checked])).toBe(status);
}

describe('a consumer without TLS', () => {
  test('that accepts the primary is noted', async () => {
    const port = await consumer({ token: TOKEN });
    await expectFinding(await check(port, { auth: { 'token-file': 'token' } }), 'note', /^answers, without TLS$/, 0);
  });

  test('is refused with another token, or none', async () => {
    const port = await consumer({ token: TOKEN });
    for (const sections of [{ auth: { 'token-file': 'wrong' } }, {}]) {
      await expectFinding(
        await check(port, sections),
        'refused',
        /does not take this primary.*\(401\): the token is missing or another one/,
        2,
      );
    }
  });

  test('is refused by a primary that asks for TLS', async () => {
    await expectFinding(await check(await consumer(), { tls: { authority: 'authority.pem' } }), 'refused', /does not answer in TLS/, 2);
  });
});

describe('a consumer with TLS', () => {
  test("that accepts the primary is noted, with the certificate's last day", async () => {
    const port = await consumer({ token: TOKEN, tls: certificate });
    const sections = { auth: { 'token-file': 'token' }, tls: { authority: 'authority.pem' } };
    await expectFinding(await check(port, sections), 'note', /^answers in TLS, with a certificate that is valid until \d{4}-\d\d-\d\d$/, 0);
  });

  test('that accepts the primary logs nothing of the check', async () => {
    const { reports, report } = collectReports();
    const port = await consumer({ tls: certificate, report });
    expect(statusOf([await check(port, { tls: { authority: 'authority.pem' } })])).toBe(0);
    // A connection that is refused, and so reported: what came before it would have been reported by then.
    const plain = connect(port, '127.0.0.1').resume();
    plain.on('error', () => plain.destroy());
    plain.end('GET / HTTP/1.1\r\n\r\n');
    await vi.waitFor(() => expect(reports).not.toEqual([]));
    expect(reports.map(({ message }) => message)).toEqual([expect.stringMatching(/TLS failed \(http request\)/)]);
  });

  test('is refused without TLS', async () => {
    await expectFinding(await check(await consumer({ tls: certificate })), 'refused', /does not take this primary.*TLS/, 2);
  });

  test('is refused if its authority is not known', async () => {
    await expectFinding(await check(await consumer({ tls: certificate }), { tls: {} }), 'refused', /its authority is not known/, 2);
  });
});

describe('a consumer that could not be asked', () => {
  test('because nothing listens there', async () => {
    await expectFinding(await check(1), 'failed', /nothing listens there; start the consumer/, 1);
  });

  test('because what listens there says nothing', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    undo.push(() => server.close());
    server.on('connection', socket => undo.push(() => socket.destroy()));
    await once(server, 'listening');
    await expectFinding(await check((server.address() as AddressInfo).port, {}, 200), 'failed', /no answer within 200 ms/, 1);
  });
});

test('a consumer dials nobody', async () => {
  const file = join(folder, 'consumer.json');
  writeFileSync(file, JSON.stringify({ 'netty-consumer': { 'listening-port': 9 } }));
  const { findings } = await checkFile(file, CONNECT_MS);
  expect(findings).toMatchObject([{ level: 'note', message: 'connects to nobody; its primary dials 127.0.0.1:9' }]);
});
