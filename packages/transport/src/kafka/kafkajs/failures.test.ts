import kafkajs from 'kafkajs';
import { EvertreeError } from '@evertree/core';
import { describe, expect, it } from 'vitest';
import { explain } from './failures.ts';

/** kafkajs' own types leave out what its constructors take. */
type Construct = new (error: Error | string, details?: object) => Error;
const errors = kafkajs as unknown as Readonly<Record<string, Construct>>;

function make(name: string, error: Error | string, details?: object): Error {
  const Class = errors[name];
  if (Class === undefined) throw new Error(`kafkajs has no ${name}`);
  return new Class(error, details);
}

const SECRET = 'correct horse battery staple';
const CONNECTION = {
  brokers: ['kafka.example:9093'],
  sasl: { mechanism: 'plain', username: 'site-a', password: SECRET },
} as const;

function protocolError(type: string) {
  return make('KafkaJSProtocolError', Object.assign(new Error('words of the broker'), { type, code: 1, retriable: false }));
}

const connectionError = (code: string) =>
  make('KafkaJSConnectionError', `Connection error: ${code}`, { broker: 'kafka.example:9094', code });

describe('a failure of the Kafka client, in words', () => {
  it.each([
    ['ECONNREFUSED', 'UNREACHABLE', '"bootstrap.servers"'],
    ['ENOTFOUND', 'UNREACHABLE', '"bootstrap.servers"'],
    ['ECONNRESET', 'UNREACHABLE', '"security.protocol"'],
  ])('%s passes', (code, expected, remedy) => {
    const { message, lasting, code: found } = explain(connectionError(code), CONNECTION);
    expect(lasting).toBe(false);
    expect(found).toBe(expected);
    expect(message).toMatch(/^the broker kafka\.example:9094: /);
    expect(message).toContain(remedy);
    expect(message).toContain(code);
  });

  it.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', '"ssl.truststore.location"'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', '"ssl.truststore.location"'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', '"ssl.endpoint.identification.algorithm"'],
    ['CERT_HAS_EXPIRED', 'renew it'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', '"ssl.keystore.location"'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', '"ssl.keystore.location"'],
  ])('%s lasts', (code, remedy) => {
    const { message, lasting, code: found } = explain(connectionError(code), CONNECTION);
    expect(lasting).toBe(true);
    expect(found).toBe('UNAUTHENTICATED');
    expect(message).toContain(remedy);
  });

  it.each([
    ['TOPIC_AUTHORIZATION_FAILED', true, 'FORBIDDEN', 'kafka-acls.sh'],
    ['GROUP_AUTHORIZATION_FAILED', true, 'FORBIDDEN', 'kafka-acls.sh'],
    ['ILLEGAL_SASL_STATE', true, 'UNAUTHENTICATED', '"security.protocol"'],
    ['MESSAGE_TOO_LARGE', true, 'TOO_LARGE', '"max.message.bytes"'],
    ['INVALID_SESSION_TIMEOUT', true, 'CONFIGURATION_INVALID', '"session.timeout.ms"'],
    ['NOT_ENOUGH_REPLICAS', false, 'UNREACHABLE', '"min.insync.replicas"'],
    ['COORDINATOR_LOAD_IN_PROGRESS', false, 'UNREACHABLE', 'words of the broker'],
    ['GROUP_COORDINATOR_NOT_AVAILABLE', false, 'UNREACHABLE', 'words of the broker'],
  ])('%s: lasting is %s', (type, expected, code, remedy) => {
    const { message, lasting, code: found } = explain(protocolError(type), CONNECTION);
    expect(lasting).toBe(expected);
    expect(found).toBe(code);
    expect(message).toContain(remedy);
    expect(message).toContain('words of the broker');
  });

  it('names the user whose credentials are refused, and not the password', () => {
    const refusal = make(
      'KafkaJSSASLAuthenticationError',
      'SASL PLAIN authentication failed: Authentication failed: Invalid username or password',
    );
    const { message, lasting, code: found, details } = explain(refusal, CONNECTION);
    expect(lasting).toBe(true);
    expect(found).toBe('UNAUTHENTICATED');
    expect(message).toContain('"site-a"');
    expect(message).toContain('"sasl.jaas.config"');
    expect(JSON.stringify({ message, details })).not.toContain(SECRET);
  });

  it.each([
    'Closed connection',
    'Connection closed by the server',
    'Not connected',
    'Request SaslAuthenticate(key: 36, version: 1) timed out',
  ])('does not take a broker that went away during SCRAM (%s) for a refusal', words => {
    const { lasting } = explain(make('KafkaJSSASLAuthenticationError', `SASL SCRAM SHA512 authentication failed: ${words}`), CONNECTION);
    expect(lasting).toBe(false);
  });

  it('finds the cause inside the errors that the client wraps around it', () => {
    const refused = connectionError('ECONNREFUSED');
    const exceeded = make('KafkaJSNumberOfRetriesExceeded', refused, { retryCount: 4, retryTime: 500, cause: refused });
    expect(explain(exceeded, CONNECTION).message).toContain('nothing listens there');
    const forbidden = make('KafkaJSNonRetriableError', protocolError('TOPIC_AUTHORIZATION_FAILED'), {
      cause: protocolError('TOPIC_AUTHORIZATION_FAILED'),
    });
    expect(explain(forbidden, CONNECTION).code).toBe('FORBIDDEN');
    const several = Object.assign(new Error('Topic creation errors'), {
      errors: [protocolError('NOT_ENOUGH_REPLICAS'), Object.assign(protocolError('TOPIC_AUTHORIZATION_FAILED'), { topic: 'devices' })],
    });
    expect(explain(several, CONNECTION)).toMatchObject({ lasting: true });
    expect(explain(several, CONNECTION).message).toContain('topic devices');
  });

  it('names the other protocol as the remedy when a broker says nothing', () => {
    const { message, lasting } = explain(make('KafkaJSRequestTimeoutError', 'Request ApiVersions timed out'), { brokers: ['b:1'] });
    expect(lasting).toBe(false);
    expect(message).toBe(
      'the broker b:1: it did not answer in time: it is overloaded or stuck, or its listener expects another "security.protocol" than PLAINTEXT',
    );
  });

  it('does not change an error that was described already', () => {
    const error = new EvertreeError('UNAUTHENTICATED', 'the token was refused');
    expect(explain(error, CONNECTION)).toMatchObject({
      code: 'UNAUTHENTICATED',
      message: 'the token was refused',
      lasting: true,
      cause: error,
    });
  });

  it('accepts a value that is no error', () => {
    expect(explain('broken', CONNECTION).message).toBe('the broker kafka.example:9093: it gave no message');
    const circular = new Error('a');
    circular.cause = circular;
    expect(explain(circular, CONNECTION).message).toContain(': a');
  });
});
