import { isEvertreeError } from '@evertree/core';
import { BrokerError, asBrokerError } from '../broker.ts';
import type { KafkaConnection } from '../options.ts';
import {
  NETWORK_REMEDIES,
  PROTOCOL_REMEDIES,
  REMOVE_BATCH,
  UNREADABLE_REMEDIES,
  isCertificateRefusal,
  lasting,
  passing,
} from './remedies.ts';
import type { Remedy } from './remedies.ts';

/** What an error of a client may carry. */
export interface Clue {
  readonly name?: unknown;
  readonly message?: unknown;
  /** Node's or OpenSSL's code, or Kafka's number. */
  readonly code?: unknown;
  /** Kafka's name of an error. */
  readonly type?: unknown;
  readonly broker?: unknown;
  readonly topic?: unknown;
  /** Of the first record of a batch that can't be read. */
  readonly batchOffset?: unknown;
}

/** How one client's errors are read. */
export interface Dialect {
  /** An error, or a cause of one, with Kafka's name and words where `Clue` has them. */
  clueOf(error: object): Clue;
  /** What the client says in words of its own. */
  explainOwn(clue: Clue, connection: KafkaConnection): Remedy | undefined;
}

/** Any error of a client's call as a BrokerError. */
export type Explain = (error: unknown, connection: KafkaConnection) => BrokerError;

/** How far causes are followed. */
const CAUSES_LIMIT = 8;
/** A client may call every failure during SCRAM a refusal; with these words the connection was lost meanwhile. */
const INTERRUPTED = /closed connection|connection closed|not connected|timed out|connection error|connection timeout|given up/i;

/**
 * Puts the errors of a Kafka client into words, with what mends them.
 *
 * A lasting one ends a start. In a site that has been connected before, it is told and tried again, slowly:
 * credentials, certificates and rights are changed while sites run.
 */
export function explainer(dialect: Dialect): Explain {
  return (error, connection) => explain(dialect, error, connection);
}

function explain(dialect: Dialect, error: unknown, connection: KafkaConnection): BrokerError {
  if (isEvertreeError(error)) return asBrokerError(error);
  const errors = errorsIn(error);
  const own = errors.find(each => isEvertreeError(each));
  if (own !== undefined) return asBrokerError(own);
  const clues = errors.map(each => dialect.clueOf(each));
  const broker = clues.map(clue => clue.broker).find(isText) ?? connection.brokers.join(', ');
  const remedy = explainFirst(dialect, clues, connection) ?? repeatWords(clues);
  const topic = clues.map(clue => clue.topic).find(isText);
  const offset = clues.map(clue => clue.batchOffset).find(each => typeof each === 'bigint');
  const where = `${topic === undefined ? '' : `, topic ${topic}`}${offset === undefined ? '' : `, offset ${offset}`}`;
  const details = { broker, ...(topic === undefined ? {} : { topic }), ...(offset === undefined ? {} : { offset: String(offset) }) };
  const kafka = clues.map(clue => clue.type).find(isText);
  return new BrokerError(
    remedy.code,
    `the broker ${broker}${where}: ${remedy.text}`,
    { lasting: remedy.lasting, kafka },
    { details, cause: error },
  );
}

/** The error, what caused it, and what an aggregate is made of: outermost first. */
export function errorsIn(error: unknown): object[] {
  const found: object[] = [];
  const waiting: unknown[] = [error];
  while (waiting.length > 0 && found.length < CAUSES_LIMIT) {
    const next = waiting.shift();
    if (typeof next !== 'object' || next === null || found.includes(next)) continue;
    found.push(next);
    const { cause, errors } = next as { readonly cause?: unknown; readonly errors?: unknown };
    waiting.push(cause, ...(Array.isArray(errors) ? (errors as unknown[]) : []));
  }
  return found;
}

function explainFirst(dialect: Dialect, clues: readonly Clue[], connection: KafkaConnection): Remedy | undefined {
  const found = clues.map(clue => explainOne(dialect, clue, connection)).filter(remedy => remedy !== undefined);
  return found.find(remedy => remedy.lasting) ?? found[0];
}

/** What no remedy is known for. What Kafka said comes first: around it, a client may only say that an answer had an error. */
function repeatWords(clues: readonly Clue[]): Remedy {
  const said = clues.find(({ type }) => isText(type));
  return passing(said === undefined ? wordsOf(clues[0]) : `${wordsOf(said)} (${String(said.type)})`);
}

function explainOne(dialect: Dialect, clue: Clue, connection: KafkaConnection): Remedy | undefined {
  const { code, type, batchOffset } = clue;
  if (batchOffset !== undefined) return explainUnreadable(clue);
  if (isText(type) && PROTOCOL_REMEDIES[type] !== undefined) return withWords(PROTOCOL_REMEDIES[type], clue, type);
  if (isText(code) && NETWORK_REMEDIES[code] !== undefined) return withWords(NETWORK_REMEDIES[code], clue, code);
  if (isText(code) && isCertificateRefusal(code)) {
    const text = `it refuses this client's certificate (${code}); mend "ssl.keystore.location", or "ssl.keystore.key" and "ssl.keystore.certificate.chain"`;
    return { code: 'UNAUTHENTICATED', lasting: true, text };
  }
  return dialect.explainOwn(clue, connection);
}

/** Records came, and can't be read. Damage may have happened on their way: the next fetch tells. */
function explainUnreadable(clue: Clue): Remedy {
  const known = [clue.type, clue.code].filter(isText).find(name => UNREADABLE_REMEDIES[name] !== undefined);
  if (known !== undefined) return withWords(UNREADABLE_REMEDIES[known]!, clue, known);
  return passing(`a batch is damaged: ${wordsOf(clue)}; if it stays so, ${REMOVE_BATCH}`);
}

export function closedByBroker(connection: KafkaConnection): Remedy {
  return passing(`it closed the connection: it is stopping, or ${wrongProtocol(connection)}`);
}

export function unansweredInTime(connection: KafkaConnection): Remedy {
  return passing(`it did not answer in time: it is overloaded or stuck, or ${wrongProtocol(connection)}`);
}

export const CONNECTED_TOO_LATE: Remedy = passing('no connection came about in time; is a firewall between?');

export function unfitVersion(words: string): Remedy {
  return lasting('FORMAT_UNSUPPORTED', `${words}; it is too old or too new for this client`);
}

/** @param message what the client says of the refusal */
export function refusedCredentials(message: string, { sasl }: KafkaConnection): Remedy {
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

export function wordsOf(clue: Clue | undefined): string {
  return isText(clue?.message) ? clue.message : 'it gave no message';
}

export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
