import { isEvertreeError } from '@evertree/core';
import { BrokerError, asBrokerError } from '../broker.ts';
import type { KafkaConnection } from '../options.ts';
import { NETWORK_REMEDIES, PROTOCOL_REMEDIES, isCertificateRefusal, lasting, passing } from './remedies.ts';
import type { Remedy } from './remedies.ts';

/** What any kafkajs error may carry. */
interface Clue {
  readonly name?: unknown;
  readonly message?: unknown;
  /** Node's or OpenSSL's code, or Kafka's number. */
  readonly code?: unknown;
  /** Kafka's name of an error. */
  readonly type?: unknown;
  readonly broker?: unknown;
  readonly topic?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
}

/** How far causes are followed. */
const CAUSES_LIMIT = 8;
/** kafkajs calls every failure during SCRAM a refusal; with these words the connection was lost meanwhile. */
const INTERRUPTED = /closed connection|connection closed|not connected|timed out|connection error|connection timeout|given up/i;

/**
 * Puts an error of the Kafka client into words, with what mends it.
 *
 * A lasting one ends a start. In a site that has been connected before, it is told and tried again, slowly:
 * credentials, certificates and rights are changed while sites run.
 */
export function explain(error: unknown, connection: KafkaConnection): BrokerError {
  if (isEvertreeError(error)) return asBrokerError(error);
  const clues = cluesOf(error);
  const broker = clues.map(clue => clue.broker).find(isText) ?? connection.brokers.join(', ');
  const remedy = explainFirst(clues, connection) ?? { code: 'UNREACHABLE', lasting: false, text: wordsOf(clues[0]) };
  const topic = clues.map(clue => clue.topic).find(isText);
  const place = topic === undefined ? `the broker ${broker}` : `the broker ${broker}, topic ${topic}`;
  const details = { broker, ...(topic === undefined ? {} : { topic }) };
  const kafka = clues.map(clue => clue.type).find(isText);
  return new BrokerError(remedy.code, `${place}: ${remedy.text}`, { lasting: remedy.lasting, kafka }, { details, cause: error });
}

/** The error, what caused it, and what an aggregate is made of: outermost first. */
function cluesOf(error: unknown): Clue[] {
  const clues: Clue[] = [];
  const waiting: unknown[] = [error];
  while (waiting.length > 0 && clues.length < CAUSES_LIMIT) {
    const next = waiting.shift();
    if (typeof next !== 'object' || next === null || clues.includes(next)) continue;
    const clue = next as Clue;
    clues.push(clue);
    waiting.push(clue.cause, ...(Array.isArray(clue.errors) ? (clue.errors as unknown[]) : []));
  }
  return clues;
}

function explainFirst(clues: readonly Clue[], connection: KafkaConnection): Remedy | undefined {
  const found = clues.map(clue => explainOne(clue, connection)).filter(remedy => remedy !== undefined);
  return found.find(remedy => remedy.lasting) ?? found[0];
}

function explainOne(clue: Clue, connection: KafkaConnection): Remedy | undefined {
  const { code, type, name } = clue;
  if (isText(type) && PROTOCOL_REMEDIES[type] !== undefined) return withWords(PROTOCOL_REMEDIES[type], clue, type);
  if (name === 'KafkaJSSASLAuthenticationError') return refusedCredentials(wordsOf(clue), connection);
  if (isText(code) && NETWORK_REMEDIES[code] !== undefined) return withWords(NETWORK_REMEDIES[code], clue, code);
  if (isText(code) && isCertificateRefusal(code)) {
    const text = `it refuses this client's certificate (${code}); mend "ssl.keystore.location", or "ssl.keystore.key" and "ssl.keystore.certificate.chain"`;
    return { code: 'UNAUTHENTICATED', lasting: true, text };
  }
  return explainByName(clue, connection);
}

function explainByName(clue: Clue, connection: KafkaConnection): Remedy | undefined {
  switch (clue.name) {
    case 'KafkaJSConnectionClosedError':
      return passing(`it closed the connection: it is stopping, or ${wrongProtocol(connection)}`);
    case 'KafkaJSConnectionError':
      return isText(clue.message) && /connection timeout/i.test(clue.message)
        ? passing('no connection came about in time; is a firewall between?')
        : undefined;
    case 'KafkaJSRequestTimeoutError':
      return passing(`it did not answer in time: it is overloaded or stuck, or ${wrongProtocol(connection)}`);
    case 'KafkaJSNotImplemented':
      return lasting('FORMAT_UNSUPPORTED', `${wordsOf(clue)}; of the codecs, none, gzip and zstd are supported: set "compression.type"`);
    case 'KafkaJSServerDoesNotSupportApiKey':
      return lasting('FORMAT_UNSUPPORTED', `${wordsOf(clue)}; it is too old or too new for this client`);
    default:
      return undefined;
  }
}

function refusedCredentials(message: string, { sasl }: KafkaConnection): Remedy {
  const words = message.replace(/^SASL .{1,40} failed: (?:Authentication failed: )?/, '');
  if (INTERRUPTED.test(words)) return passing(`the connection ended while it looked at the credentials (${words})`);
  const who = sasl !== undefined && 'username' in sasl ? ` of ${JSON.stringify(sasl.username)}` : '';
  const remedy = /mechanism is not supported/.test(words) ? 'mend "sasl.mechanism"' : 'mend user name and password in "sasl.jaas.config"';
  return lasting('UNAUTHENTICATED', `it refuses the credentials${who}: ${words}; ${remedy}`);
}

function wrongProtocol({ tls, sasl }: KafkaConnection): string {
  const present = sasl === undefined ? (tls === undefined ? 'PLAINTEXT' : 'SSL') : tls === undefined ? 'SASL_PLAINTEXT' : 'SASL_SSL';
  return `its listener expects another "security.protocol" than ${present}`;
}

/** The message of Kafka or Node is kept beside the remedy, so that it can be searched for. */
function withWords(remedy: Remedy, clue: Clue, name: string): Remedy {
  return { ...remedy, text: `${remedy.text} (${name}${isText(clue.type) ? `: ${wordsOf(clue)}` : ''})` };
}

function wordsOf(clue: Clue | undefined): string {
  return isText(clue?.message) ? clue.message : 'it gave no message';
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
