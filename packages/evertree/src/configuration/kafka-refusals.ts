/*
 * Properties of Java's Kafka clients that are known and refused: they have no counterpart here, and a setting that does
 * nothing must not look as if it did.
 */

const NO_JAVA = 'it names Java code, which no Node process can load; remove it';
export const NO_JKS = 'Java key stores are not read; convert the store to PEM and set its type to "PEM"';
export const NO_KERBEROS = 'GSSAPI (Kerberos) is not supported; use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER';
const OWN_METRICS = 'Evertree has metrics of its own, at GET /metrics; remove it';
const OWN_BYTES = 'Evertree writes and reads the bytes of its frames itself; remove it';
const ONE_READER = 'each site reads the whole topic by itself, so nothing is assigned among readers; remove it';
const NO_SETTING = "the Kafka client has no such setting; remove it to take the client's own behaviour";
const NO_GROUP = 'a secondary reads without joining a group; remove it';
const NO_TRANSACTIONS = 'positions make every frame count once, whatever is sent twice; remove it';
const CLIENT_CREDENTIALS =
  'of OAUTHBEARER the client_credentials grant is supported, with "sasl.oauthbearer.token.endpoint.url" and an id, a secret and a scope; remove it';

const REFUSED: Readonly<Record<string, string>> = {
  'transactional.id': NO_TRANSACTIONS,
  'transaction.timeout.ms': NO_TRANSACTIONS,
  'transaction.two.phase.commit.enable': NO_TRANSACTIONS,
  'compression.gzip.level': NO_SETTING,
  'compression.lz4.level': NO_SETTING,
  'compression.zstd.level': NO_SETTING,
  'metadata.recovery.strategy': NO_SETTING,
  'metadata.recovery.rebootstrap.trigger.ms': NO_SETTING,
  'internal.throw.on.fetch.stable.offset.unsupported': NO_SETTING,
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
  'group.instance.id': NO_GROUP,
  'group.protocol': NO_GROUP,
  'group.remote.assignor': NO_GROUP,
  'exclude.internal.topics': ONE_READER,
  'client.rack': NO_SETTING,
  'max.poll.interval.ms': NO_GROUP,
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
  'ssl.protocol': NO_SETTING,
  'ssl.enabled.protocols': NO_SETTING,
  'ssl.cipher.suites': NO_SETTING,
};

const REFUSED_FAMILIES: readonly (readonly [prefix: string, reason: string])[] = [
  ['sasl.login.', NO_SETTING],
  ['sasl.oauthbearer.', CLIENT_CREDENTIALS],
  ['share.', NO_GROUP],
];

/** Names that are refused one by one; families of names have a prefix below. */
export const REFUSED_NAMES: readonly string[] = Object.keys(REFUSED);

/** Why a name is refused; undefined if it is not, or not known. */
export function refusalOf(name: string): string | undefined {
  if (Object.hasOwn(REFUSED, name)) return REFUSED[name];
  return REFUSED_FAMILIES.find(([prefix]) => name.startsWith(prefix))?.[1];
}
