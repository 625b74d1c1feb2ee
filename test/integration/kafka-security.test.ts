import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { openStore, startConsumer, startProducer } from 'evertree';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createClient } from '../../packages/transport/src/kafka/kafkajs/client.ts';
import { explain } from '../../packages/transport/src/kafka/kafkajs/failures.ts';
import { type Certificate, makeAuthority, makeCertificate } from '../support/certificates.ts';
import { type KafkaBroker, startKafka } from '../support/kafka/broker.ts';
import type { SecuredListener } from '../support/kafka/server-properties.ts';
import { describeKafka } from '../support/kafka/suite.ts';
import { type Ended, start } from '../support/program.ts';
import { type SiteFolder, siteFolder } from '../support/site-folder.ts';
import { KAFKA_CLIENTS } from '@evertree/transport/kafka';
import { testedClientName, useKafkaClient } from '../support/kafka/client.ts';

const SECRET = 'correct-horse';
const WRONG = 'battery-staple';
const SOON = { timeout: 25_000, interval: 20 };

const TOKENS = 'org.apache.kafka.common.security.oauthbearer';
/** Unsigned tokens: these tests do not cover how a broker verifies a token. */
const ACCEPTS_TOKENS: Readonly<Record<string, string>> = {
  'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-512,OAUTHBEARER',
  ...Object.fromEntries(
    ['sasl_plaintext', 'sasl_ssl'].flatMap(listener => [
      [
        `listener.name.${listener}.oauthbearer.sasl.jaas.config`,
        `${TOKENS}.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
      ],
      [
        `listener.name.${listener}.oauthbearer.sasl.server.callback.handler.class`,
        `${TOKENS}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler`,
      ],
    ]),
  ),
};

type Properties = Readonly<Record<string, unknown>>;

const jaas = (module: string, password: string) =>
  `org.apache.kafka.common.security.${module} required username="alice" password="${password}";`;
const plain = (password: string): Properties => ({
  'sasl.mechanism': 'PLAIN',
  'sasl.jaas.config': jaas('plain.PlainLoginModule', password),
});
const scram = (password: string): Properties => ({
  'sasl.mechanism': 'SCRAM-SHA-512',
  'sasl.jaas.config': jaas('scram.ScramLoginModule', password),
});

describeKafka('a broker that demands security, as the Java names tell it', () =>
  describe.each(KAFKA_CLIENTS)('by %s', client => {
    beforeAll(() => useKafkaClient(client));
    let broker: KafkaBroker;
    let folder: SiteFolder;

    beforeAll(async () => {
      broker = await startKafka({ users: { alice: SECRET }, serverProperties: ACCEPTS_TOKENS });
      folder = await siteFolder();
      const own = await makeCertificate(broker.authority, { names: ['site-a'] });
      await folder.write('trust.pem', broker.authority.certificate);
      await folder.write('foreign.pem', (await makeAuthority()).certificate);
      await folder.write('own.pem', `${own.certificate}\n${own.key}`);
    });
    afterAll(async () => {
      await broker[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    });

    /** Files for both roles, beside the certificates that they name. */
    function files(listener: SecuredListener, properties: Properties): { readonly primary: string; readonly secondary: string } {
      const topic = `security-${crypto.randomUUID()}`;
      const protocol = listener === 'MUTUAL_TLS' ? 'SSL' : listener;
      const write = (side: 'producer' | 'consumer') => {
        const all = { 'bootstrap.servers': broker.addressOf(listener), 'security.protocol': protocol, ...properties };
        const file = join(folder.path, `${topic}-${side}.json`);
        writeFileSync(
          file,
          JSON.stringify({ 'kafka-client': testedClientName(), 'kafka-messaging': { topic }, [`kafka-${side}-properties`]: all }),
        );
        return file;
      };
      return { primary: write('producer'), secondary: write('consumer') };
    }

    const trust = { 'ssl.truststore.location': 'trust.pem' };

    test.each<[string, SecuredListener, Properties]>([
      ['TLS', 'SSL', trust],
      ["TLS with the client's certificate", 'MUTUAL_TLS', { ...trust, 'ssl.keystore.location': 'own.pem' }],
      ['SASL PLAIN', 'SASL_PLAINTEXT', plain(SECRET)],
      ['SCRAM-SHA-512 over TLS', 'SASL_SSL', { ...trust, ...scram(SECRET) }],
    ])('%s: a secondary gets what the primary commits', async (_name, listener, properties) => {
      const { primary, secondary } = files(listener, properties);
      await using a = await openStore({ data: 'memory', site: 'a' });
      await using b = await openStore({ data: 'memory', site: 'b' });
      await using producer = await startProducer(a, primary);
      await using consumer = await startConsumer(b, secondary);
      a.put('/hello', 'world');
      await vi.waitFor(() => expect(b.get('/hello')).toBe('world'), SOON);
      await vi.waitFor(() => expect(producer.peers.map(({ site }) => site)).toContain('b'), SOON);
      expect(consumer.state.lastError).toBeNull();
    });

    test('OAUTHBEARER: tokens come from the endpoint, and its refusal of a client is reported', async () => {
      const asked: (string | undefined)[] = [];
      const endpoint = createHttpServer((request, response) => {
        asked.push(request.headers.authorization);
        if (asked.length > 1) response.writeHead(401).end();
        else response.end(JSON.stringify({ access_token: unsignedToken('alice'), expires_in: 3600 }));
      }).listen(0, '127.0.0.1');
      await once(endpoint, 'listening');
      const properties = {
        'sasl.mechanism': 'OAUTHBEARER',
        'sasl.jaas.config': `${TOKENS}.OAuthBearerLoginModule required clientId="site" clientSecret="${SECRET}";`,
        'sasl.oauthbearer.token.endpoint.url': `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/token`,
      };
      const { primary } = files('SASL_PLAINTEXT', properties);
      await using a = await openStore({ data: 'memory', site: 'a' });
      await using producer = await startProducer(a, primary);
      await vi.waitFor(() => expect(producer.peers[0]).toMatchObject({ state: 'replicate', lastError: null }), SOON);
      expect(asked).toEqual([`Basic ${Buffer.from(`site:${SECRET}`).toString('base64')}`]);
      const { status, stderr } = await runSite('primary', primary);
      endpoint.close();
      expect(status).toBe(1);
      expect(stderr).toMatch(/^evertree: the token endpoint .* refuses the client "site" \(401\); mend client id, secret and scope/m);
    });

    const refusals: readonly (readonly [string, SecuredListener, Properties, RegExp])[] = [
      [
        'a wrong password, by PLAIN',
        'SASL_PLAINTEXT',
        plain(WRONG),
        /refuses the credentials of \\?"alice\\?": .*mend user name and password/,
      ],
      [
        'a wrong password, by SCRAM',
        'SASL_SSL',
        { ...trust, ...scram(WRONG) },
        /refuses the credentials of \\?"alice\\?": .*mend user name and password/,
      ],
      [
        'a mechanism that it has not',
        'SASL_SSL',
        { ...trust, ...scram(SECRET), 'sasl.mechanism': 'SCRAM-SHA-256' },
        /mend \\?"sasl.mechanism/,
      ],
      ['an authority that is not its own', 'SSL', { 'ssl.truststore.location': 'foreign.pem' }, /an authority that is not known here/],
      ['no certificate of the client', 'MUTUAL_TLS', trust, /refuses this client's certificate/],
    ];

    test.each(refusals)('%s ends the start of either role with 1 and a clear error', async (_name, listener, properties, message) => {
      const { primary, secondary } = files(listener, properties);
      for (const ended of await Promise.all([runSite('primary', primary), runSite('secondary', secondary)])) {
        expect(ended.status).toBe(1);
        expect(ended.stderr.split('\n').findLast(line => line.startsWith('evertree: '))).toMatch(message);
        expect(ended.stderr).toContain('(UNAUTHENTICATED)');
        expect(ended.stderr).not.toMatch(new RegExp(`${WRONG}|${SECRET}`));
      }
    });

    test('no log level and no file has a password, and neither the client nor Node prints anything beside the log', async () => {
      const { primary } = files('SASL_SSL', { ...trust, ...scram(SECRET) });
      const http = `127.0.0.1:${folder.primaryHttp}`;
      await using site = start(
        ['primary', '--config', primary, '--data', 'kept', '--http', http, '--log-level', 'debug', '--log', 'json'],
        folder.path,
      );
      await site.printed(/"event":"peer-linked"/, 'stderr');
      const status = await (await fetch(`http://${http}/status`)).text();
      const { stderr, stdout } = await site.stop();
      expect(stdout).toBe('');
      for (const line of stderr.trimEnd().split('\n')) expect(() => JSON.parse(line) as unknown, line).not.toThrow();
      const kept = join(folder.path, 'kept');
      const contents = readdirSync(kept, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
      for (const text of [stderr, status, ...contents]) expect(text).not.toContain(SECRET);
    });

    async function runSite(role: 'primary' | 'secondary', file: string): Promise<Ended> {
      await using site = start([role, '--config', file, '--data', crypto.randomUUID(), '--http', 'off'], folder.path);
      return await site.ended;
    }
  }),
);

/** A JSON Web Token with the algorithm `none`. */
function unsignedToken(user: string): string {
  const now = Math.floor(Date.now() / 1_000);
  const [header, claims] = [{ alg: 'none' }, { sub: user, iat: now, exp: now + 3_600 }].map(part =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  return `${header}.${claims}.`;
}

describe("a broker's name", () => {
  let authority: Certificate;
  let brokers: readonly string[];
  const server = createServer();

  beforeAll(async () => {
    authority = await makeAuthority();
    const { certificate, key } = await makeCertificate(authority, { names: ['elsewhere.example'] });
    server.setSecureContext({ cert: certificate, key });
    // As a broker does with what it does not understand.
    server.on('secureConnection', socket => socket.on('error', () => undefined).end());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    brokers = [`127.0.0.1:${(server.address() as AddressInfo).port}`];
  });
  afterAll(() => void server.close());

  test.each([
    [true, true, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    [false, false, 'it closed the connection'],
  ])('is compared with its certificate: %s', async (checkName, lasting, message) => {
    const connection = { brokers, tls: { authority: authority.certificate, checkName } };
    const error: unknown = await createClient(connection, () => undefined)
      .admin()
      .connect()
      .catch((failure: unknown) => failure);
    expect(explain(error, connection)).toMatchObject({ lasting, message: expect.stringContaining(message) });
  });
});
