import { nearest } from './check.ts';
import type { ConfigurationDocument, Place } from './document.ts';
import type { Problem } from './problem.ts';

/*
 * The names of Java's Kafka clients, as they stand in the ancestor's files: what the client does by itself, what we emulate with Java's
 * meaning, and what is refused, with the reason.
 */

type Side = 'producer' | 'consumer';
type Check = (value: string) => string | undefined;

interface Property {
  readonly sides: readonly Side[];
  /** `client`: the Kafka client has it. `emulated`: ours, with Java's meaning. */
  readonly by: 'client' | 'emulated';
  readonly check: Check;
}

const BOTH: readonly Side[] = ['producer', 'consumer'];
const PRODUCER: readonly Side[] = ['producer'];
const CONSUMER: readonly Side[] = ['consumer'];
const INT_MAXIMUM = 2_147_483_647;

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
    const match = /^\s*(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})\s*$/.exec(server);
    return match !== null && Number(match[1]) >= 1 && Number(match[1]) <= 65_535;
  })
    ? undefined
    : '"host:port", or several separated by commas';

function of(sides: readonly Side[], by: Property['by'], check: Check): Property {
  return { sides, by, check };
}

const PROPERTIES: Readonly<Record<string, Property>> = {
  'bootstrap.servers': of(BOTH, 'client', servers),
  'client.id': of(BOTH, 'client', anyText),
  'request.timeout.ms': of(BOTH, 'client', whole(1)),
  'security.protocol': of(BOTH, 'client', oneOf('PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL')),
  'sasl.mechanism': of(BOTH, 'client', oneOf('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER')),
  'sasl.jaas.config': of(BOTH, 'client', anyText),
  'sasl.oauthbearer.token.endpoint.url': of(BOTH, 'client', anyText),
  'ssl.truststore.type': of(BOTH, 'client', oneOf('PEM')),
  'ssl.keystore.type': of(BOTH, 'client', oneOf('PEM')),
  'ssl.truststore.location': of(BOTH, 'client', anyText),
  'ssl.truststore.certificates': of(BOTH, 'client', anyText),
  'ssl.keystore.location': of(BOTH, 'client', anyText),
  'ssl.keystore.key': of(BOTH, 'client', anyText),
  'ssl.keystore.certificate.chain': of(BOTH, 'client', anyText),
  'ssl.key.password': of(BOTH, 'client', anyText),
  'ssl.endpoint.identification.algorithm': of(BOTH, 'client', oneOf('https', '')),

  acks: of(PRODUCER, 'client', oneOf('all', '-1', '0', '1')),
  retries: of(PRODUCER, 'client', whole(0)),
  'compression.type': of(PRODUCER, 'client', oneOf('none', 'gzip', 'zstd')),
  'enable.idempotence': of(PRODUCER, 'client', flag),
  'transactional.id': of(PRODUCER, 'client', anyText),
  'linger.ms': of(PRODUCER, 'emulated', whole(0)),
  'batch.size': of(PRODUCER, 'emulated', whole(0)),
  'buffer.memory': of(PRODUCER, 'emulated', whole(0, Number.MAX_SAFE_INTEGER)),
  'max.block.ms': of(PRODUCER, 'emulated', whole(0, Number.MAX_SAFE_INTEGER)),
  'delivery.timeout.ms': of(PRODUCER, 'emulated', whole(0)),
  'max.request.size': of(PRODUCER, 'emulated', whole(1)),
  'max.in.flight.requests.per.connection': of(PRODUCER, 'emulated', whole(1)),

  'group.id': of(CONSUMER, 'client', anyText),
  'fetch.min.bytes': of(CONSUMER, 'client', whole(0)),
  'fetch.max.bytes': of(CONSUMER, 'client', whole(1)),
  'fetch.max.wait.ms': of(CONSUMER, 'client', whole(0)),
  'max.partition.fetch.bytes': of(CONSUMER, 'client', whole(1)),
  'session.timeout.ms': of(CONSUMER, 'client', whole(1)),
  'heartbeat.interval.ms': of(CONSUMER, 'client', whole(1)),
  'isolation.level': of(CONSUMER, 'client', oneOf('read_committed', 'read_uncommitted')),
  'max.poll.records': of(CONSUMER, 'emulated', whole(1)),
  'enable.auto.commit': of(CONSUMER, 'emulated', flag),
  'auto.commit.interval.ms': of(CONSUMER, 'emulated', whole(0)),
  'auto.offset.reset': of(CONSUMER, 'emulated', oneOf('earliest', 'latest', 'none')),
};

const NO_JAVA = 'it names Java code, which no Node process can load; remove it';
const NO_JKS = 'Java key stores are not read; convert the store to PEM and set its type to "PEM"';
const NO_KERBEROS = 'GSSAPI (Kerberos) is not supported; use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER';
const OWN_METRICS = 'Evertree has metrics of its own, at GET /metrics; remove it';
const OWN_BYTES = 'Evertree writes and reads the bytes of its frames itself; remove it';
const ONE_READER = 'each site reads the whole topic by itself, so nothing is assigned among readers; remove it';
const NO_SETTING = "the Kafka client has no such setting; remove it to take the client's own behaviour";

const REFUSED: Readonly<Record<string, string>> = {
  'key.serializer': OWN_BYTES,
  'value.serializer': OWN_BYTES,
  'key.deserializer': OWN_BYTES,
  'value.deserializer': OWN_BYTES,
  'partitioner.class': `the partition is set by "kafka-messaging"; remove it`,
  'partitioner.ignore.keys': `the partition is set by "kafka-messaging"; remove it`,
  'partitioner.adaptive.partitioning.enable': `the partition is set by "kafka-messaging"; remove it`,
  'partitioner.availability.timeout.ms': `the partition is set by "kafka-messaging"; remove it`,
  'interceptor.classes': NO_JAVA,
  'config.providers': NO_JAVA,
  'security.providers': NO_JAVA,
  'ssl.engine.factory.class': NO_JAVA,
  'ssl.provider': NO_JAVA,
  'ssl.trustmanager.algorithm': NO_JAVA,
  'ssl.keymanager.algorithm': NO_JAVA,
  'ssl.secure.random.implementation': NO_JAVA,
  'sasl.client.callback.handler.class': NO_JAVA,
  'sasl.login.callback.handler.class': NO_JAVA,
  'sasl.login.class': NO_JAVA,
  'ssl.truststore.password': NO_JKS,
  'ssl.keystore.password': NO_JKS,
  'sasl.kerberos.service.name': NO_KERBEROS,
  'sasl.kerberos.kinit.cmd': NO_KERBEROS,
  'sasl.kerberos.min.time.before.relogin': NO_KERBEROS,
  'sasl.kerberos.ticket.renew.jitter': NO_KERBEROS,
  'sasl.kerberos.ticket.renew.window.factor': NO_KERBEROS,
  'metric.reporters': OWN_METRICS,
  'metrics.num.samples': OWN_METRICS,
  'metrics.recording.level': OWN_METRICS,
  'metrics.sample.window.ms': OWN_METRICS,
  'auto.include.jmx.reporter': OWN_METRICS,
  'enable.metrics.push': OWN_METRICS,
  'partition.assignment.strategy': ONE_READER,
  'group.instance.id': ONE_READER,
  'group.protocol': ONE_READER,
  'group.remote.assignor': ONE_READER,
  'exclude.internal.topics': ONE_READER,
  'client.rack': NO_SETTING,
  'max.poll.interval.ms': NO_SETTING,
  'allow.auto.create.topics': NO_SETTING,
  'check.crcs': NO_SETTING,
  'default.api.timeout.ms': NO_SETTING,
  'client.dns.lookup': NO_SETTING,
  'connections.max.idle.ms': NO_SETTING,
  'metadata.max.age.ms': NO_SETTING,
  'metadata.max.idle.ms': NO_SETTING,
  'receive.buffer.bytes': NO_SETTING,
  'send.buffer.bytes': NO_SETTING,
  'reconnect.backoff.ms': NO_SETTING,
  'reconnect.backoff.max.ms': NO_SETTING,
  'retry.backoff.ms': NO_SETTING,
  'retry.backoff.max.ms': NO_SETTING,
  'socket.connection.setup.timeout.ms': NO_SETTING,
  'socket.connection.setup.timeout.max.ms': NO_SETTING,
  'transaction.timeout.ms': NO_SETTING,
  'ssl.protocol': NO_SETTING,
  'ssl.enabled.protocols': NO_SETTING,
  'ssl.cipher.suites': NO_SETTING,
};

/** Checks every name and value, and what they mean together. Values may be strings, numbers, true or false, as Java takes them. */
export function checkKafkaProperties(document: ConfigurationDocument, side: Side): Problem[] {
  const section = `kafka-${side}-properties`;
  const properties = (document.value as Record<string, unknown> | null)?.[section];
  if (typeof properties !== 'object' || properties === null || Array.isArray(properties)) return [];
  const problems: Problem[] = [];
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'object') continue; // The schema has told.
    const message = checkProperty(document, [section, name], side, String(value));
    if (message !== undefined) problems.push(document.problem([section, name], message));
  }
  return [...problems, ...checkTogether(document, section, properties as Record<string, unknown>)];
}

function checkProperty(document: ConfigurationDocument, place: Place, side: Side, value: string): string | undefined {
  const name = String(place.at(-1));
  const refusal = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
  if (refusal !== undefined) return `is refused: ${refusal}`;
  const property = Object.hasOwn(PROPERTIES, name) ? PROPERTIES[name] : undefined;
  if (property === undefined) return unknownName(name, side);
  if (!property.sides.includes(side)) return `belongs to a ${property.sides[0]}, and this file configures a ${side}; remove it`;
  if (name.endsWith('store.type') && value !== 'PEM') return `is ${document.quote(place)}: ${NO_JKS}`;
  if (name === 'sasl.mechanism' && value === 'GSSAPI') return `is "GSSAPI": ${NO_KERBEROS}`;
  const expected = property.check(value);
  return expected === undefined ? undefined : `is ${document.quote(place)}; write ${expected}`;
}

function unknownName(name: string, side: Side): string {
  const known = Object.keys(PROPERTIES).filter(key => PROPERTIES[key]?.sides.includes(side));
  const near = nearest(name, known) ?? nearest(name, Object.keys(REFUSED));
  return `is no property of Kafka's ${side}${near === undefined ? '; remove it' : `; did you mean "${near}"?`}`;
}

function checkTogether(document: ConfigurationDocument, section: string, properties: Record<string, unknown>): Problem[] {
  const problems: Problem[] = [];
  const text = (name: string) => (Object.hasOwn(properties, name) ? String(properties[name]) : undefined);
  const idempotent = text('enable.idempotence') === 'true' || text('transactional.id') !== undefined;
  if (idempotent && text('retries') === '0') {
    problems.push(document.problem([section, 'retries'], 'is 0, and idempotence needs retries; remove one of the two'));
  }
  if (idempotent && text('acks') !== undefined && text('acks') !== 'all' && text('acks') !== '-1') {
    problems.push(document.problem([section, 'acks'], `is ${document.quote([section, 'acks'])}, and idempotence needs "all"; write "all"`));
  }
  if (text('security.protocol')?.startsWith('SASL') === true && text('sasl.mechanism') === undefined) {
    problems.push(
      document.problem(
        [section, 'sasl.mechanism'],
        'is missing, and "security.protocol" asks for it; Java would take GSSAPI, which is not supported',
      ),
    );
  }
  return problems;
}
