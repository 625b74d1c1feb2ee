import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isEvertreeError } from '@evertree/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Certificate, makeAuthority, makeCertificate } from '../../../../test/support/certificates.ts';
import type { KafkaProducerConfiguration } from './configuration.ts';
import { readConfiguration } from './reading.ts';

type Properties = Readonly<Record<string, unknown>>;

const kafka = (properties: Properties) => ({
  'kafka-connection': { 'kafka-host': 'broker', 'kafka-port': 9092 },
  'kafka-producer-properties': properties,
});

const producer = (properties: Properties) => readConfiguration(kafka(properties)) as KafkaProducerConfiguration;

/** The lines of the error, without the file and the section. */
function problemsOf(read: () => unknown): string[] {
  try {
    read();
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID'))
      return error.message.split('\n').map(line => line.replace(/^.*?kafka-\w+-properties\./, ''));
    throw error;
  }
  return [];
}

const PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule';
const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule';
const OAUTH = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule';
const SECRET = 'correct horse';
const sasl = (mechanism: string, jaas: string, more: Properties = {}) => ({
  'security.protocol': 'SASL_SSL',
  'sasl.mechanism': mechanism,
  'sasl.jaas.config': jaas,
  ...more,
});

describe('SASL', () => {
  test.each([
    ['PLAIN', PLAIN, 'plain'],
    ['SCRAM-SHA-256', SCRAM, 'scram-sha-256'],
    ['SCRAM-SHA-512', SCRAM, 'scram-sha-512'],
  ])('%s', (mechanism, module, expected) => {
    const { connection } = producer(sasl(mechanism, `${module} required username="site-a" password="${SECRET}";`));
    expect(connection).toMatchObject({ tls: { checkName: true }, sasl: { mechanism: expected, username: 'site-a', password: SECRET } });
  });

  test.each<[string, Properties, string]>([
    ['no mechanism', { 'security.protocol': 'SASL_SSL' }, 'sasl.mechanism is missing, and "security.protocol" asks for it'],
    [
      'no login',
      { 'security.protocol': 'SASL_SSL', 'sasl.mechanism': 'PLAIN' },
      'sasl.jaas.config is missing, and "security.protocol" asks for it',
    ],
    ['Kerberos', sasl('GSSAPI', ''), 'sasl.mechanism is "GSSAPI": GSSAPI (Kerberos) is not supported'],
    ['an empty login', sasl('PLAIN', ''), 'sasl.jaas.config is set (not shown); write a text that is not empty'],
    [
      'another module',
      sasl('PLAIN', `com.example.Mine required password="${SECRET}";`),
      'names the login module "com.example.Mine", which is Java code',
    ],
    [
      'the other module',
      sasl('PLAIN', `${SCRAM} required username="a" password="${SECRET}";`),
      'has a login module for SCRAM, and "sasl.mechanism" is PLAIN',
    ],
    ['no password', sasl('PLAIN', `${PLAIN} required username="a";`), 'is set (not shown), and has no password="…"'],
    ['no semicolon', sasl('PLAIN', `${PLAIN} required username="a" password="${SECRET}"`), 'is set (not shown), and does not end with ";"'],
    [
      'a delegation token',
      sasl('SCRAM-SHA-512', `${SCRAM} required username="a" password="${SECRET}" tokenauth="true";`),
      'asks for a delegation token',
    ],
    [
      'SASL without its protocol',
      { 'sasl.mechanism': 'PLAIN' },
      'sasl.mechanism has no effect with "security.protocol" PLAINTEXT; write SASL_PLAINTEXT',
    ],
    [
      'tokens for a password',
      sasl('PLAIN', `${PLAIN} required username="a" password="${SECRET}";`, { 'sasl.oauthbearer.scope': 's' }),
      'sasl.oauthbearer.scope has no effect with "sasl.mechanism" PLAIN',
    ],
    [
      'tokens from nowhere',
      sasl('OAUTHBEARER', `${OAUTH} required clientId="a" clientSecret="${SECRET}";`),
      'sasl.oauthbearer.token.endpoint.url is missing',
    ],
    [
      'a secret in clear',
      sasl('OAUTHBEARER', `${OAUTH} required clientId="a" clientSecret="${SECRET}";`, {
        'sasl.oauthbearer.token.endpoint.url': 'http://id.example/token',
      }),
      'write an https:// address without user and password',
    ],
    [
      'other ways to a token',
      sasl('OAUTHBEARER', `${OAUTH} required;`, { 'sasl.oauthbearer.assertion.file': 'a' }),
      'the client_credentials grant is supported',
    ],
  ])('%s is refused, and the secret is not repeated', (_name, properties, expected) => {
    const found = problemsOf(() => producer(properties)).join('\n');
    expect(found).toContain(expected);
    expect(found).not.toContain(SECRET);
  });

  test('OAUTHBEARER, with the properties of Kafka 4 before the login module', () => {
    const properties = sasl('OAUTHBEARER', `${OAUTH} required clientId="a" clientSecret="b";`, {
      'sasl.oauthbearer.token.endpoint.url': 'https://id.example/token',
      'sasl.login.callback.handler.class': 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler',
      'sasl.oauthbearer.client.credentials.client.secret': 'c',
    });
    expect(producer(properties).connection.sasl).toMatchObject({ mechanism: 'oauthbearer', token: expect.any(Function) as unknown });
  });

  test('a password in clear draws a warning, unless it stays in this machine', () => {
    const open = { ...sasl('PLAIN', `${PLAIN} required username="a" password="b";`), 'security.protocol': 'SASL_PLAINTEXT' };
    expect(producer(open).notes).toEqual([expect.stringContaining('the password travels in clear')]);
    expect(readConfiguration({ 'kafka-producer-properties': { ...open, 'bootstrap.servers': '127.0.0.1:1,localhost:2' } }).notes).toEqual(
      [],
    );
  });
});

describe('TLS', () => {
  let folder: string;
  let authority: Certificate;
  let own: Certificate;
  let encrypted: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'evertree-kafka-'));
    authority = await makeAuthority();
    own = await makeCertificate(authority);
    encrypted = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: SECRET },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).privateKey;
    writeFileSync(join(folder, 'trust.pem'), authority.certificate);
    writeFileSync(join(folder, 'own.pem'), `${own.certificate}\n${own.key}`);
    writeFileSync(join(folder, 'store.jks'), Buffer.from('feedfeed00000002', 'hex'));
    writeFileSync(join(folder, 'notes.txt'), 'not PEM');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const inFolder = (properties: Properties) => {
    const file = join(folder, 'kafka.json');
    writeFileSync(file, JSON.stringify(kafka({ 'security.protocol': 'SSL', ...properties })));
    return file;
  };
  const tlsOf = (properties: Properties) => (readConfiguration(inFolder(properties)) as KafkaProducerConfiguration).connection.tls;

  test('stores from files beside the configuration', () => {
    expect(tlsOf({ 'ssl.truststore.location': 'trust.pem', 'ssl.keystore.location': 'own.pem', 'ssl.keystore.type': 'PEM' })).toMatchObject(
      {
        authority: authority.certificate,
        certificate: expect.stringContaining(own.certificate) as unknown,
        key: expect.stringContaining(own.key) as unknown,
        checkName: true,
      },
    );
  });

  test('stores as texts', () => {
    const tls = tlsOf({
      'ssl.truststore.certificates': authority.certificate,
      'ssl.keystore.key': own.key,
      'ssl.keystore.certificate.chain': own.certificate,
      'ssl.endpoint.identification.algorithm': '',
    });
    expect(tls).toEqual({
      authority: authority.certificate,
      certificate: own.certificate,
      key: own.key,
      passphrase: undefined,
      checkName: false,
    });
  });

  test('host names that are not checked draw a warning', () => {
    expect(readConfiguration(inFolder({ 'ssl.endpoint.identification.algorithm': '' })).notes).toEqual([
      expect.stringContaining('a broker may bear any name'),
    ]);
  });

  test.each<[string, () => Properties, string]>([
    [
      'a file that is missing',
      () => ({ 'ssl.truststore.location': 'none.pem' }),
      'ssl.truststore.location names "none.pem", which does not exist',
    ],
    [
      'a Java store',
      () => ({ 'ssl.truststore.location': 'store.jks' }),
      'names a Java key store (JKS or PKCS #12), which is not read; convert it: keytool',
    ],
    ['any other file', () => ({ 'ssl.truststore.location': 'notes.txt' }), 'names a file that holds no PEM'],
    [
      'a text that is no certificate',
      () => ({ 'ssl.truststore.certificates': 'abc' }),
      'ssl.truststore.certificates does not hold PEM certificates',
    ],
    [
      'a store twice',
      () => ({ 'ssl.truststore.location': 'trust.pem', 'ssl.truststore.certificates': authority.certificate }),
      'keep one of the two',
    ],
    [
      'a password of a Java store',
      () => ({ 'ssl.truststore.location': 'trust.pem', 'ssl.truststore.password': SECRET }),
      'Java key stores are not read',
    ],
    [
      'a key without its certificate',
      () => ({ 'ssl.keystore.key': own.key }),
      'ssl.keystore.certificate.chain is missing beside "ssl.keystore.key"',
    ],
    [
      "another one's key",
      () => ({ 'ssl.keystore.key': authority.key, 'ssl.keystore.certificate.chain': own.certificate }),
      'ssl.keystore.key holds a key that is not that of the (first) certificate',
    ],
    [
      'a key without its password',
      () => ({ 'ssl.keystore.key': encrypted, 'ssl.keystore.certificate.chain': own.certificate }),
      'ssl.key.password is missing',
    ],
    [
      "another key's password",
      () => ({ 'ssl.keystore.key': encrypted, 'ssl.keystore.certificate.chain': own.certificate, 'ssl.key.password': `not ${SECRET}` }),
      'ssl.keystore.key does not hold a PEM key that "ssl.key.password" opens',
    ],
    ['a password without a key', () => ({ 'ssl.key.password': SECRET }), 'ssl.key.password has no effect without "ssl.keystore.location"'],
    [
      'stores without TLS',
      () => ({ 'security.protocol': 'PLAINTEXT', 'ssl.truststore.location': 'trust.pem' }),
      'has no effect with "security.protocol" PLAINTEXT; write SSL there',
    ],
  ])('%s is refused, and no secret is repeated', (_name, properties, expected) => {
    const found = problemsOf(() => readConfiguration(inFolder(properties()))).join('\n');
    expect(found).toContain(expected);
    expect(found).not.toContain(SECRET);
    expect(found).not.toContain('BEGIN PRIVATE');
  });
});
