import { isLoopback } from '@evertree/core';
import { namesWithWords, nearest } from '../json/schema-keys.ts';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import { NO_JKS, NO_KERBEROS, REFUSED_NAMES, refusalOf } from './kafka-refusals.ts';
import type { ConfigurationProblem } from './problem.ts';

/*
 * The properties of Java's Kafka clients that are taken, and their values. kafka-refusals.ts has those that are
 * refused; kafka-connection.ts and kafka-settings.ts say what the others do.
 */

type Side = 'producer' | 'consumer';
type Check = (value: string) => string | undefined;

interface Property {
  readonly sides: readonly Side[];
  readonly check: Check;
}

const BOTH: readonly Side[] = ['producer', 'consumer'];
const PRODUCER: readonly Side[] = ['producer'];
const CONSUMER: readonly Side[] = ['consumer'];
const INT_MAXIMUM = 2_147_483_647;
const LEAST_BUFFER_BYTES = 64 * 1024;
const LEAST_REQUEST_BYTES = 16 * 1024;
const LEAST_HEARTBEAT_MS = 100;
const MOST_HEARTBEAT_MS = 3_600_000;
/** Handlers that Java needs for OAUTHBEARER. They are accepted and do nothing here: tokens are always asked for. */
const TOKEN_HANDLERS = [
  'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler',
  'org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler',
];

function whole(minimum: number, maximum = INT_MAXIMUM): Check {
  return value => {
    const number = /^-?\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    return number >= minimum && number <= maximum ? undefined : `a whole number from ${minimum} to ${maximum}`;
  };
}

function oneOf(...options: string[]): Check {
  return value => (options.includes(value) ? undefined : `one of ${options.map(option => JSON.stringify(option)).join(', ')}`);
}

const flag = oneOf('true', 'false');
const anyText: Check = value => (value.length > 0 && value.length <= 64 * 1024 ? undefined : 'a text that is not empty');

const servers: Check = value =>
  value.split(',').every(server => {
    const match = /^\s*[A-Za-z0-9_.-]+:(\d{1,5})\s*$/.exec(server);
    return match !== null && Number(match[1]) >= 1 && Number(match[1]) <= 65_535;
  })
    ? undefined
    : `"host:port", or several separated by commas${value.includes('[') ? '; for an IPv6 address, a name that leads to it' : ''}`;

/** The client's secret is sent there: in clear only within this machine. */
const tokenEndpoint: Check = value => {
  const url = URL.parse(value);
  const isSafe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
  return isSafe && url.username === '' && url.password === '' ? undefined : 'an https:// address without user and password';
};

function of(sides: readonly Side[], check: Check): Property {
  return { sides, check };
}

const PROPERTIES = {
  'bootstrap.servers': of(BOTH, servers),
  'client.id': of(BOTH, anyText),
  'request.timeout.ms': of(BOTH, whole(1)),
  'security.protocol': of(BOTH, oneOf('PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL')),
  'sasl.mechanism': of(BOTH, oneOf('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER')),
  'sasl.jaas.config': of(BOTH, anyText),
  'sasl.login.callback.handler.class': of(BOTH, oneOf(...TOKEN_HANDLERS)),
  'sasl.oauthbearer.token.endpoint.url': of(BOTH, tokenEndpoint),
  'sasl.oauthbearer.client.credentials.client.id': of(BOTH, anyText),
  'sasl.oauthbearer.client.credentials.client.secret': of(BOTH, anyText),
  'sasl.oauthbearer.scope': of(BOTH, anyText),
  'ssl.truststore.type': of(BOTH, oneOf('PEM')),
  'ssl.keystore.type': of(BOTH, oneOf('PEM')),
  'ssl.truststore.location': of(BOTH, anyText),
  'ssl.truststore.certificates': of(BOTH, anyText),
  'ssl.keystore.location': of(BOTH, anyText),
  'ssl.keystore.key': of(BOTH, anyText),
  'ssl.keystore.certificate.chain': of(BOTH, anyText),
  'ssl.key.password': of(BOTH, anyText),
  'ssl.endpoint.identification.algorithm': of(BOTH, oneOf('https', '')),

  acks: of(PRODUCER, oneOf('all', '-1', '0', '1')),
  retries: of(PRODUCER, whole(0)),
  'compression.type': of(PRODUCER, oneOf('none', 'gzip', 'zstd')),
  'enable.idempotence': of(PRODUCER, flag),
  'linger.ms': of(PRODUCER, whole(0)),
  'batch.size': of(PRODUCER, whole(0)),
  'buffer.memory': of(PRODUCER, whole(LEAST_BUFFER_BYTES, Number.MAX_SAFE_INTEGER)),
  'max.block.ms': of(PRODUCER, whole(0, Number.MAX_SAFE_INTEGER)),
  'delivery.timeout.ms': of(PRODUCER, whole(0)),
  'max.request.size': of(PRODUCER, whole(LEAST_REQUEST_BYTES)),
  'max.in.flight.requests.per.connection': of(PRODUCER, whole(1)),

  'group.id': of(CONSUMER, anyText),
  'fetch.min.bytes': of(CONSUMER, whole(0)),
  'fetch.max.bytes': of(CONSUMER, whole(1)),
  'fetch.max.wait.ms': of(CONSUMER, whole(0)),
  'max.partition.fetch.bytes': of(CONSUMER, whole(1)),
  'session.timeout.ms': of(CONSUMER, whole(3 * LEAST_HEARTBEAT_MS, 3 * MOST_HEARTBEAT_MS)),
  'heartbeat.interval.ms': of(CONSUMER, whole(LEAST_HEARTBEAT_MS, MOST_HEARTBEAT_MS)),
  'isolation.level': of(CONSUMER, oneOf('read_committed', 'read_uncommitted')),
  'max.poll.records': of(CONSUMER, whole(1)),
  'enable.auto.commit': of(CONSUMER, flag),
  'auto.commit.interval.ms': of(CONSUMER, whole(0)),
  'auto.offset.reset': of(CONSUMER, oneOf('earliest', 'latest', 'none')),
} satisfies Readonly<Record<string, Property>>;

const KNOWN: ReadonlyMap<string, Property> = new Map(Object.entries(PROPERTIES));

/**
 * The section of a file that holds Java's properties, as an object: the values are strings, numbers, true or false, as
 * Java takes them.
 */
export type JavaProperties = { readonly [Name in keyof typeof PROPERTIES]?: string | number | boolean };

/** Checks every name and value, and whether they fit together. Values may be strings, numbers, true or false. */
export function checkKafkaProperties(document: ConfigurationDocument, side: Side): ConfigurationProblem[] {
  const section = `kafka-${side}-properties`;
  const properties = (document.value as Record<string, unknown> | null)?.[section];
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) return [];
  const problems: ConfigurationProblem[] = [];
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'object') continue; // The schema has told.
    const message = checkProperty(document, [section, name], side, String(value));
    if (message !== undefined) problems.push(document.problem([section, name], message));
  }
  return [...problems, ...checkTogether(document, section, properties as Record<string, unknown>)];
}

function checkProperty(document: ConfigurationDocument, place: KeyPath, side: Side, value: string): string | undefined {
  const name = String(place.at(-1));
  const property = KNOWN.get(name);
  if (property === undefined) {
    const refusal = refusalOf(name);
    return refusal === undefined ? unknownName(name, side) : `is refused: ${refusal}`;
  }
  if (!property.sides.includes(side)) return `belongs to a ${property.sides[0]}, and this file configures a ${side}; remove it`;
  if (name.endsWith('store.type') && value !== 'PEM') return `is ${document.quote(place)}: ${NO_JKS}`;
  if (name === 'sasl.mechanism' && value === 'GSSAPI') return `is "GSSAPI": ${NO_KERBEROS}`;
  if (name === 'compression.type' && (value === 'snappy' || value === 'lz4')) {
    return `is ${document.quote(place)}, which the client can't write; write "zstd", which is smaller and as fast, "gzip" or "none"`;
  }
  const expected = property.check(value);
  return expected === undefined ? undefined : `is ${document.quote(place)}; write ${expected}`;
}

function unknownName(name: string, side: Side): string {
  const known = [...KNOWN].flatMap(([key, { sides }]) => (sides.includes(side) ? [key] : []));
  const near = nearest(name, known) ?? nearest(name, REFUSED_NAMES) ?? namesWithWords(name, known)[0];
  const remedy = near === undefined ? 'remove it: configs/README.md lists those that are taken' : `did you mean "${near}"?`;
  return `is no property of Kafka's ${side}; ${remedy}`;
}

function checkTogether(document: ConfigurationDocument, section: string, properties: Record<string, unknown>): ConfigurationProblem[] {
  const problems: ConfigurationProblem[] = [];
  const text = (name: string) => (Object.hasOwn(properties, name) ? String(properties[name]) : undefined);
  const found = (name: string, message: string) => problems.push(document.problem([section, name], message));
  const least = (name: string) => Number(text(name) ?? 0);
  if (text('enable.idempotence') === 'true') {
    if (text('retries') === '0') found('retries', 'is 0, and idempotence needs retries; remove one of the two');
    if (text('acks') !== undefined && text('acks') !== 'all' && text('acks') !== '-1')
      found('acks', `is ${document.quote([section, 'acks'])}, and idempotence needs "all"; write "all"`);
  }
  if (text('security.protocol')?.startsWith('SASL') === true && text('sasl.mechanism') === undefined) {
    found('sasl.mechanism', 'is missing, and "security.protocol" asks for it; Java would take GSSAPI, which is not supported');
  }
  if (text('delivery.timeout.ms') !== undefined && least('delivery.timeout.ms') < least('linger.ms') + least('request.timeout.ms')) {
    found('delivery.timeout.ms', 'is less than "linger.ms" and "request.timeout.ms" together, which Java refuses; raise it');
  }
  if (text('session.timeout.ms') !== undefined && least('heartbeat.interval.ms') >= least('session.timeout.ms')) {
    found('heartbeat.interval.ms', 'is not less than "session.timeout.ms", which Java refuses; a third of it is usual');
  }
  return problems;
}
