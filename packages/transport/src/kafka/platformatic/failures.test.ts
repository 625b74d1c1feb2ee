import { EvertreeError } from '@evertree/core';
import { AuthenticationError, MultipleErrors, NetworkError, ProtocolError, TimeoutError, UserError } from '@platformatic/kafka';
import { describe, expect, it } from 'vitest';
import { canRetry, isOnly } from './errors.ts';
import { explain } from './failures.ts';

const SECRET = 'correct horse battery staple';
const CONNECTION = {
  brokers: ['kafka.example:9093'],
  sasl: { mechanism: 'plain', username: 'site-a', password: SECRET },
} as const;

const coded = (code: string) => Object.assign(new Error(`connect ${code}`), { code });
const failed = (cause: Error) => new NetworkError('Connection to kafka.example:9093 failed.', { cause });

describe('a failure of @platformatic/kafka, in words', () => {
  it.each([
    ['ECONNREFUSED', false, 'UNREACHABLE', '"bootstrap.servers"'],
    ['ECONNRESET', false, 'UNREACHABLE', '"security.protocol"'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', true, 'UNAUTHENTICATED', '"ssl.truststore.location"'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', true, 'UNAUTHENTICATED', '"ssl.keystore.location"'],
  ])('%s: lasting is %s', (code, lasting, expected, remedy) => {
    const error = explain(Object.assign(new Error('node'), { broker: 'kafka.example:9094', cause: failed(coded(code)) }), CONNECTION);
    expect(error).toMatchObject({ lasting, code: expected });
    expect(error.message).toMatch(/^the broker kafka\.example:9094: /);
    expect(error.message).toContain(remedy);
  });

  it.each([
    ['TOPIC_AUTHORIZATION_FAILED', true, 'FORBIDDEN', 'kafka-acls.sh'],
    ['MESSAGE_TOO_LARGE', true, 'TOO_LARGE', '"max.message.bytes"'],
    ['NOT_ENOUGH_REPLICAS', false, 'UNREACHABLE', '"min.insync.replicas"'],
    ['OFFSET_OUT_OF_RANGE', false, 'UNREACHABLE', ''],
    ['OUT_OF_ORDER_SEQUENCE_NUMBER', false, 'UNREACHABLE', ''],
  ] as const)('%s of the broker: lasting is %s', (id, lasting, code, remedy) => {
    const error = explain(new MultipleErrors('several', [new ProtocolError(id, 'words of the broker')]), CONNECTION);
    expect(error).toMatchObject({ lasting, code, kafka: id });
    expect(error.message).toContain(remedy);
  });

  it('says what the broker said where no remedy is known', () => {
    const answer = new MultipleErrors('Received response with error while executing API ListOffsets(v5)', [
      new ProtocolError('UNKNOWN_LEADER_EPOCH', 'The leader epoch is newer than the epoch on the broker'),
    ]);
    expect(explain(answer, CONNECTION).message).toBe(
      'the broker kafka.example:9093: The leader epoch is newer than the epoch on the broker (UNKNOWN_LEADER_EPOCH)',
    );
  });

  it('names the user whose credentials are refused, and not the password', () => {
    const refusal = new AuthenticationError('SASL authentication failed.', {
      cause: new ProtocolError('SASL_AUTHENTICATION_FAILED', 'Authentication failed: Invalid username or password'),
    });
    const { message, lasting, code, details } = explain(failed(refusal), CONNECTION);
    expect({ lasting, code }).toEqual({ lasting: true, code: 'UNAUTHENTICATED' });
    expect(message).toContain('"site-a"');
    expect(message).toContain('"sasl.jaas.config"');
    expect(JSON.stringify({ message, details })).not.toContain(SECRET);
  });

  it('does not take a broker that went away during the login for a refusal', () => {
    const lost = new AuthenticationError('SASL authentication failed.', { cause: new NetworkError('Connection closed') });
    expect(explain(failed(lost), CONNECTION).lasting).toBe(false);
  });

  it('tells late connections, late answers and TLS where none was expected', () => {
    expect(explain(new TimeoutError('Connection to b:1 timed out.'), CONNECTION).message).toContain('no connection came about in time');
    expect(explain(new TimeoutError('Request timed out'), CONNECTION).message).toContain('it did not answer in time');
    expect(explain(new UserError('Broker requires TLS.'), CONNECTION).message).toContain('"security.protocol"');
  });

  it('keeps the words of a token that could not be got', () => {
    const refused = new EvertreeError('UNAUTHENTICATED', 'the token endpoint refuses the client');
    const provider = new AuthenticationError('The SASL/OAUTHBEARER token provider threw an error.', { cause: refused });
    expect(explain(failed(provider), CONNECTION)).toMatchObject({ message: 'the token endpoint refuses the client', lasting: true });
  });

  it('says that trying again helps where every cause says so', () => {
    expect(canRetry(failed(coded('ECONNREFUSED')))).toBe(true);
    expect(canRetry(new ProtocolError('LEADER_NOT_AVAILABLE'))).toBe(true);
    expect(canRetry(failed(new AuthenticationError('no')))).toBe(false);
    expect(canRetry(new ProtocolError('OUT_OF_ORDER_SEQUENCE_NUMBER'))).toBe(false);
    expect(canRetry(new Error('the client was given up'))).toBe(false);
  });

  it('tells an answer that refuses all topics alike from one that refuses them for several reasons', () => {
    const refused = (...names: ConstructorParameters<typeof ProtocolError>[0][]) =>
      failed(
        new MultipleErrors(
          'several',
          names.map(name => new ProtocolError(name)),
        ),
      );
    expect(isOnly('TOPIC_ALREADY_EXISTS', refused('TOPIC_ALREADY_EXISTS', 'TOPIC_ALREADY_EXISTS'))).toBe(true);
    expect(isOnly('TOPIC_ALREADY_EXISTS', refused('TOPIC_ALREADY_EXISTS', 'POLICY_VIOLATION'))).toBe(false);
    expect(isOnly('TOPIC_ALREADY_EXISTS', failed(coded('ECONNREFUSED')))).toBe(false);
  });
});
