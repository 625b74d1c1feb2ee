import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isEvertreeError } from '@evertree/core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Certificate, makeAuthority, makeCertificate } from '../../../../test/support/certificates.ts';
import type { NettyConsumerConfiguration, NettyProducerConfiguration } from './configuration.ts';
import { formatProblem } from './problem.ts';
import { readConsumerConfiguration, readPrimaryConfiguration } from './reading.ts';
import { RunningConfigurations } from './running.ts';

let folder: string;
let pairs: readonly [Certificate, Certificate];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evertree-running-'));
  const authority = await makeAuthority();
  pairs = [await makeCertificate(authority), await makeCertificate(authority)];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const write = (name: string, content: unknown): void =>
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content, undefined, 2), { mode: 0o600 });

function writePair({ certificate, key }: Certificate): void {
  write('site.crt', certificate);
  write('site.key', key);
}

const at = (name: string) => join(folder, name);
const BOTH = { certificate: 'site.crt', key: 'site.key' };
const DIALS = {
  'netty-connection': [
    { 'consumer-address': 'box-b', 'consumer-port': 1, auth: { 'token-file': 'b.token' } },
    { 'consumer-address': 'box-c', 'consumer-port': 1, tls: BOTH },
  ],
  auth: { 'token-file': 'site.token' },
};
const LISTENS = { 'netty-consumer': { 'listening-port': 2 }, auth: { 'token-file': 'site.token' }, tls: BOTH };

beforeEach(() => {
  write('producer.json', DIALS);
  write('consumer.json', LISTENS);
  write('site.token', 'the-token-of-the-site\n');
  write('b.token', 'the-token-of-b\n');
  writePair(pairs[0]);
});

const read = () => ({ primary: readPrimaryConfiguration(at('producer.json')), standby: readConsumerConfiguration(at('consumer.json')) });
const start = () => new RunningConfigurations(read(), read);

const connections = ({ primary }: RunningConfigurations) => (primary!.wires[0] as NettyProducerConfiguration).connections;
const listener = ({ standby }: RunningConfigurations) => standby as NettyConsumerConfiguration;
const told = ({ pending }: ReturnType<RunningConfigurations['reload']>) =>
  pending.map(problem => formatProblem(problem).replace(folder, ''));

describe('reading the configurations of a running site again', () => {
  test('takes tokens, certificates and keys over, in both roles and for HTTP, and names them once', () => {
    const running = start();
    expect(running.reload()).toEqual({ renewed: [], pending: [], warnings: [] });
    write('site.token', 'another-token-of-the-site');
    writePair(pairs[1]);
    expect(running.reload()).toEqual({
      renewed: [
        { source: at('producer.json'), key: 'auth' },
        { source: at('producer.json'), key: 'netty-connection.1.tls' },
        { source: at('consumer.json'), key: 'auth' },
        { source: at('consumer.json'), key: 'tls' },
      ],
      pending: [],
      warnings: [],
    });
    expect(connections(running)).toMatchObject([
      { address: 'box-b', token: 'the-token-of-b' },
      { address: 'box-c', token: 'another-token-of-the-site', tls: { certificate: pairs[1].certificate } },
    ]);
    expect(listener(running)).toMatchObject({ token: 'another-token-of-the-site', tls: pairs[1] });
    expect(running.http).toMatchObject({ token: 'another-token-of-the-site', tls: pairs[1] });
    expect(running.reload().renewed).toEqual([]);
  });

  test('takes other names of files, more tokens, and a section for HTTP over', () => {
    const running = start();
    write('reader.token', 'the-token-of-a-reader');
    const tokens = [{ name: 'reader', 'token-file': 'reader.token', rights: ['read'] }];
    const http = { auth: { 'token-file': 'site.token', tokens } };
    write('consumer.json', { ...LISTENS, auth: { 'token-file': 'b.token' }, http });
    write('producer.json', { ...DIALS, http });
    const { renewed, pending } = running.reload();
    expect(pending).toEqual([]);
    expect(renewed.map(({ key }) => key)).toEqual(expect.arrayContaining(['auth', 'http.auth']));
    expect(listener(running)).toMatchObject({ token: 'the-token-of-b' });
    expect(running.http).toMatchObject({ tokens: [{ name: 'reader', secret: 'the-token-of-a-reader' }] });
  });

  const bad: Record<string, { make: () => void; says: RegExp }> = {
    'a token file that is gone': {
      make: () => rmSync(at('site.token')),
      says: /producer\.json:\d+:\d+: auth\.token-file names "site\.token", which does not exist/,
    },
    'a token that is too short': {
      make: () => write('site.token', 'short'),
      says: /auth\.token-file names "site\.token", which holds no token; write one line/,
    },
    'a key of another certificate': {
      make: () => write('site.key', pairs[1].key),
      says: /producer\.json:\d+:\d+: netty-connection\.1\.tls\.key is not the key of the certificate/,
    },
    'a certificate that is cut off': {
      make: () => write('site.crt', pairs[0].certificate.slice(0, 200)),
      says: /producer\.json:\d+:\d+: netty-connection\.1\.tls\.certificate names "site\.crt", which does not hold what it should, in PEM/,
    },
    'a chain whose second certificate is none': {
      make: () => write('site.crt', `${pairs[0].certificate}\n-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n`),
      says: /producer\.json:\d+:\d+: netty-connection\.1\.tls\.certificate and "key" can't be used for TLS: .*; make a new pair/,
    },
    'a file that is no JSON': { make: () => write('producer.json', '{'), says: /producer\.json:1:2: is not JSON/ },
    'files of the two roles that disagree about HTTP': {
      make: () => write('producer.json', { ...DIALS, http: { auth: { 'token-file': 'b.token' } } }),
      says: /http\.auth differs from that in/,
    },
  };

  test.for(Object.entries(bad))('is refused as a whole for %s', ([, { make, says }]) => {
    const running = start();
    const before = [running.primary, running.standby, running.http];
    write('b.token', 'another-token-of-b');
    make();
    let error: unknown;
    try {
      running.reload();
    } catch (caught) {
      error = caught;
    }
    expect(isEvertreeError(error, 'CONFIGURATION_INVALID') && error.message).toMatch(says);
    expect([running.primary, running.standby, running.http].map((each, index) => each === before[index])).toEqual([true, true, true]);
  });

  test('names what else differs, with its place and both values, as long as it differs, and leaves it', () => {
    const running = start();
    write('producer.json', { ...DIALS, limits: { 'pending-bytes': 1_000_000 } });
    write('consumer.json', { 'netty-consumer': { 'listening-port': 3 }, auth: LISTENS.auth, tls: LISTENS.tls });
    const expected = [
      '/producer.json:23:5: limits.pending-bytes is 1000000, and was missing when the site started; it counts after a restart',
      '/consumer.json:3:5: netty-consumer.listening-port is 3, and was 2 when the site started; it counts after a restart',
    ];
    expect(told(running.reload())).toEqual(expected);
    expect(listener(running).port).toBe(2);
    write('site.token', 'another-token-of-the-site');
    const again = running.reload();
    expect(told(again)).toEqual(expected);
    expect(again.renewed).toHaveLength(2);
    write('producer.json', DIALS);
    write('consumer.json', LISTENS);
    expect(running.reload().pending).toEqual([]);
  });

  test('turns TLS neither on nor off', () => {
    const running = start();
    write('consumer.json', { ...LISTENS, tls: 'off' });
    expect(told(running.reload())).toEqual(['/consumer.json:8:3: tls changes whether there is TLS; it counts after a restart']);
    expect(listener(running).tls).toEqual(pairs[0]);
    expect(running.http.tls).toEqual(pairs[0]);
  });

  test('gives a token to no other address than the one that it was written for', () => {
    const running = start();
    const moved = { 'consumer-address': 'elsewhere', 'consumer-port': 1, auth: { 'token-file': 'new.token' } };
    write('new.token', 'a-token-for-elsewhere');
    write('producer.json', { ...DIALS, 'netty-connection': [moved, DIALS['netty-connection'][1]] });
    expect(told(running.reload())).toEqual([
      expect.stringContaining('netty-connection.0.consumer-address is "elsewhere", and was "box-b"'),
    ]);
    expect(connections(running)[0]).toMatchObject({ address: 'box-b', token: 'the-token-of-b' });
  });
});

const file = (properties: object) => ({
  'kafka-connection': { 'kafka-host': 'broker', 'kafka-port': 9092 },
  'kafka-consumer-properties': { 'security.protocol': 'SASL_SSL', 'sasl.mechanism': 'PLAIN', ...properties },
});
const login = (password: string) =>
  `org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="${password}";`;
const keystore = (pair: Certificate) => write('client.pem', `${pair.key}\n${pair.certificate}`);

describe('of a topic', () => {
  test('takes the login and the TLS of the client over; another protocol needs a restart', () => {
    const properties = { 'sasl.jaas.config': login('before'), 'ssl.keystore.location': 'client.pem' };
    keystore(pairs[0]);
    write('topic.json', file(properties));
    const readTopic = () => ({ standby: readConsumerConfiguration(at('topic.json')) });
    const running = new RunningConfigurations(readTopic(), readTopic);
    expect(running.reload().renewed).toEqual([]);
    keystore(pairs[1]);
    expect(running.reload().renewed).toEqual([{ source: at('topic.json'), key: 'kafka-consumer-properties' }]);
    write('topic.json', file({ ...properties, 'sasl.jaas.config': login('after') }));
    expect(running.reload()).toMatchObject({
      renewed: [{ key: 'kafka-consumer-properties.sasl.jaas.config' }],
      pending: [],
    });
    expect(running.standby).toMatchObject({
      connection: { sasl: { password: 'after' }, tls: { certificate: expect.stringContaining(pairs[1].certificate) as unknown } },
    });
    const brokers = {
      'security.protocol': 'SSL',
      'sasl.mechanism': undefined,
      'ssl.keystore.location': 'client.pem',
      'fetch.min.bytes': 2,
    };
    write('topic.json', file(brokers));
    expect(told(running.reload()).map(line => line.replace(/^.*kafka-consumer-properties\./, ''))).toEqual([
      'security.protocol is "SSL", and was "SASL_SSL" when the site started; it counts after a restart',
      'fetch.min.bytes is 2, and was missing when the site started; it counts after a restart',
    ]);
    expect(running.standby).toMatchObject({ connection: { sasl: { password: 'after' } } });
  });
});
