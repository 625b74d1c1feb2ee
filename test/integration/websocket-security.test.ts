import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { dialTransport, listenTransport } from '@evertree/transport/websocket';
import type { DialOptions, ListenOptions } from '@evertree/transport/websocket';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import type { Certificate } from '../support/certificates.ts';
import { systemClock, systemRandom } from '../support/host.ts';
import { collectReports, strictReport } from '../support/reports.ts';
import { End, frameOf, helloOf, same, WAIT } from '../support/links.ts';

/** Which client may open a link, and what a refused one is told. */

const TOKEN = 'a-token-that-nobody-may-see-7f3a';
let authority: Certificate;
let certificate: Certificate;
beforeAll(async () => {
  authority = await makeAuthority();
  certificate = await makeCertificate(authority);
});

const undo: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

/** A listener and a dialler, and everything that either tells. */
async function pair(listening: Partial<ListenOptions>, dialling: Partial<DialOptions>, address = '127.0.0.1') {
  const { reports, report } = collectReports();
  const failures: (Error & { code?: string })[] = [];
  const links = { dialled: [] as End[], taken: [] as End[] };
  const host = { clock: systemClock, random: systemRandom, report };
  const listener = listenTransport({ ...host, port: 0, limits: { handshakeTimeoutMs: 500 }, ...listening });
  undo.push(() => listener.close());
  await listener.open({ link: link => void links.taken.push(new End(link).attach()), failed: (_, error) => void failures.push(error) });
  const remotes = [{ address, port: listener.port }];
  const dialler = dialTransport({ ...host, remotes, retryIntervalMs: 20, ...dialling });
  undo.push(() => dialler.close());
  await dialler.open({ link: link => void links.dialled.push(new End(link).attach()), failed: (_, error) => void failures.push(error) });
  const failure = async () => {
    await vi.waitFor(() => expect(failures.length).toBeGreaterThan(0), WAIT);
    return failures[0]!;
  };
  return { listener, reports, failures, links, failure };
}

/** @returns the ends, whose second message was a frame */
async function expectWorks({ links }: Awaited<ReturnType<typeof pair>>) {
  await vi.waitFor(() => expect([links.dialled.length, links.taken.length]).toEqual([1, 1]), WAIT);
  const [primary, secondary] = [links.dialled[0]!, links.taken[0]!];
  primary.link.send(helloOf('primary'));
  secondary.link.send(helloOf('secondary'));
  primary.link.send(frameOf(1, 1_000_000));
  const received = await secondary.received(2);
  expect(same(received[1]!, frameOf(1, 1_000_000))).toBe(true);
  expect(await primary.received(1)).toEqual([helloOf('secondary')]);
  expect(secondary.link.receivedBytes).toBeGreaterThan(1_000_000);
  expect(primary.link.sentBytes).toBeGreaterThan(1_000_000);
  return { primary, secondary };
}

describe('TLS', () => {
  test('carries a link to a listener whose certificate descends from the authority', async () => {
    await expectWorks(await pair({ tls: certificate }, { tls: { authority: authority.certificate } }));
  });

  test('checks the name that was dialled, even if it is no address', async () => {
    await expectWorks(await pair({ tls: certificate }, { tls: { authority: authority.certificate } }, 'localhost'));
  });

  const untrusted: Record<string, { make: () => Promise<{ listening: Certificate; trusted: string | undefined }>; says: RegExp }> = {
    'from an authority that is not known': {
      make: async () => ({ listening: certificate, trusted: undefined }),
      says: /authority is not known here; give it as tls\.authority/,
    },
    'from another authority': {
      make: async () => ({ listening: certificate, trusted: (await makeAuthority()).certificate }),
      says: /can't reach .*(authority|certificate)/,
    },
    'for another name': {
      make: async () => ({ listening: await makeCertificate(authority, { names: ['elsewhere.test'] }), trusted: authority.certificate }),
      says: /certificate is for another name/,
    },
    'that has expired': {
      make: async () => ({ listening: await makeCertificate(authority, { notAfter: new Date(0) }), trusted: authority.certificate }),
      says: /certificate has expired; renew it/,
    },
  };

  test.for(Object.entries(untrusted))('refuses a certificate %s', async ([, { make, says }]) => {
    const { listening, trusted } = await make();
    const { failure, links } = await pair({ tls: listening }, { tls: { authority: trusted }, token: TOKEN });
    expect(await failure()).toMatchObject({ code: 'UNREACHABLE', message: expect.stringMatching(says) as unknown });
    expect(links).toEqual({ dialled: [], taken: [] });
  });

  test('at one end only is found, and reported', async () => {
    const first = await pair({ tls: certificate }, {});
    expect((await first.failure()).message).toMatch(/can't reach/);
    const second = await pair({}, { tls: { authority: authority.certificate } });
    expect((await second.failure()).message).toMatch(/does not answer in TLS/);
    expect([...first.links.taken, ...second.links.taken]).toEqual([]);
  });

  test('with a handshake that never ends closes only its own connection', async () => {
    const ends = await pair({ tls: certificate, limits: { handshakeTimeoutMs: 1_000 } }, { tls: { authority: authority.certificate } });
    // A link that says no hello in that time is closed, too.
    const { primary, secondary } = await expectWorks(ends);
    const socket = net.connect(ends.listener.port, '127.0.0.1');
    socket.on('error', () => socket.destroy());
    socket.write(Buffer.from('16030100f0010000ec0303', 'hex'));
    await once(socket, 'close');
    const rubbish = net.connect(ends.listener.port, '127.0.0.1');
    rubbish.on('error', () => rubbish.destroy());
    rubbish.write('GET / HTTP/1.1\r\n\r\n');
    await once(rubbish.resume(), 'close');
    const told = ends.reports.map(report => report.message);
    expect(told.filter(message => /TLS failed .*http request/s.test(message))).toHaveLength(1);
    expect(told.join(), 'in words, and not as a line of OpenSSL').not.toMatch(/openssl/i);
    expect(told.join('\n'), 'a second report of the same').not.toContain('no HTTP');
    const idle = tls.connect({ port: ends.listener.port, host: '127.0.0.1', ca: authority.certificate });
    idle.on('error', () => idle.destroy());
    await once(idle.resume(), 'close');
    primary.link.send(frameOf(2, 1_000));
    expect(same((await secondary.received(3))[2]!, frameOf(2, 1_000))).toBe(true);
    expect([ends.links.dialled.length, ends.links.taken.length]).toEqual([1, 1]);
  });

  test('with an unfinished handshake does not delay the closing of a listener', async () => {
    const limits = { handshakeTimeoutMs: 3_600_000 };
    const { listener, links } = await pair({ tls: certificate, limits }, { tls: { authority: authority.certificate } });
    await vi.waitFor(() => expect(links.taken.length).toBe(1), WAIT);
    const mute = net.connect(listener.port, '127.0.0.1');
    await once(mute, 'connect');
    await Promise.all([listener.close(), once(mute.resume(), 'close')]);
  });

  test('with a certificate or key that no attempt could use is refused at open', async () => {
    const host = { clock: systemClock, random: systemRandom, report: strictReport };
    const events = { link: () => undefined, failed: () => undefined };
    const other = await makeCertificate(authority);
    for (const bad of [
      { certificate: 'rubbish', key: certificate.key },
      { certificate: certificate.certificate, key: other.key },
    ]) {
      const listener = listenTransport({ ...host, port: 0, tls: bad, autoRestart: true });
      await expect(listener.open(events)).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
      await listener.close();
    }
    const [begin, end] = ['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----'];
    for (const unreadable of ['', 'rubbish', certificate.key, `${certificate.certificate}\n${begin}\nrubbish\n${end}`]) {
      const dialler = dialTransport({ ...host, remotes: [], retryIntervalMs: 1, tls: { authority: unreadable } });
      await expect(dialler.open(events)).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    }
  });
});

describe('a token', () => {
  test('that both sites hold opens the link, over TLS or not', async () => {
    await expectWorks(await pair({ token: TOKEN }, { token: TOKEN }));
    await expectWorks(await pair({ token: TOKEN, tls: certificate }, { token: TOKEN, tls: { authority: authority.certificate } }));
  });

  test.for([undefined, 'another', `${TOKEN}x`, TOKEN.slice(0, -1)])(
    'that is missing or wrong (%s) is refused, with what to do',
    async token => {
      const { failure, reports, links } = await pair({ token: TOKEN }, { token });
      expect(await failure()).toMatchObject({
        code: 'UNAUTHENTICATED',
        message: expect.stringMatching(/\(401\): the token is missing or another one than here: .*auth\.token-file/) as unknown,
      });
      expect(reports.map(report => report.event)).toContain('connection-refused');
      expect(links).toEqual({ dialled: [], taken: [] });
    },
  );

  test('of several is taken if it may replicate; one that may not is refused by name', async () => {
    const tokens = [
      { name: 'reader', secret: 'secret-of-the-reader', rights: ['read', 'write', 'admin'] },
      { name: 'north', secret: 'secret-of-north', rights: ['replicate'] },
    ] as const;
    await expectWorks(await pair({ tokens }, { token: 'secret-of-north' }));
    await expectWorks(await pair({ token: TOKEN, tokens }, { token: TOKEN }));
    const { failure, reports, links } = await pair({ tokens }, { token: 'secret-of-the-reader' });
    expect(await failure()).toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringMatching(
        /\(403\): the token "reader" lacks the right "replicate"; .* it has "read", "write", "admin"$/,
      ) as unknown,
    });
    expect(JSON.stringify(reports)).not.toContain('secret-of');
    expect(reports.map(report => report.event)).toContain('connection-refused');
    expect(links).toEqual({ dialled: [], taken: [] });
  });

  test('never shows in an error or a report', async () => {
    const { failure, reports, failures } = await pair({ token: 'the-listener-wants-this-one' }, { token: TOKEN });
    await failure();
    const everything = JSON.stringify([reports, failures, failures.map(each => [each.message, each.stack, String(each.cause)])]);
    expect(everything).not.toContain(TOKEN);
    expect(everything).not.toContain('the-listener-wants-this-one');
  });

  test("that a header can't carry is refused before anything starts, and not shown", () => {
    const host = { clock: systemClock, random: systemRandom, report: strictReport };
    for (const token of ['', 'two words', 'a line\n', 'ümlaut', 'x'.repeat(5000)]) {
      for (const make of [
        () => dialTransport({ ...host, remotes: [], retryIntervalMs: 1, token }),
        () => listenTransport({ ...host, port: 0, token }),
      ]) {
        let message = '';
        try {
          make();
        } catch (error) {
          message = (error as Error).message;
          expect(error).toMatchObject({ code: 'CONFIGURATION_INVALID' });
        }
        expect(message).toMatch(/the token has to be 1 to 4096 printable/);
        if (token.length > 0) expect(message).not.toContain(token);
      }
    }
  });
});

async function upgrade(port: number, headers: Record<string, string>, path = '/', protocols = ['evertree.4']) {
  const websocket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { headers });
  undo.push(() => websocket.terminate());
  websocket.on('error', () => undefined);
  return new Promise<number>(resolve => {
    websocket.on('open', () => resolve(101));
    websocket.on('unexpected-response', (_, response) => resolve(response.statusCode ?? 0));
  });
}

describe('a page in a browser', () => {
  test('is refused by its Origin, whatever else it brings', async () => {
    const { listener } = await pair({ token: TOKEN }, { token: TOKEN });
    const authorization = `Bearer ${TOKEN}`;
    expect(await upgrade(listener.port, { authorization })).toBe(101);
    for (const origin of ['https://evil.example', `http://127.0.0.1:${listener.port}`, 'null']) {
      expect(await upgrade(listener.port, { authorization, origin })).toBe(403);
    }
  });

  test('and so is a client that wants another path or protocol version, once its token is right', async () => {
    const { listener } = await pair({ token: TOKEN }, { token: TOKEN });
    const authorization = `Bearer ${TOKEN}`;
    expect(await upgrade(listener.port, { authorization }, '/data')).toBe(404);
    expect(await upgrade(listener.port, { authorization }, '/', ['evertree.99'])).toBe(400);
    expect(await upgrade(listener.port, { authorization }, '/', ['evertree.99', 'evertree.4'])).toBe(101);
    expect(await upgrade(listener.port, {}, '/', ['evertree.99'])).toBe(401);
  });
});
