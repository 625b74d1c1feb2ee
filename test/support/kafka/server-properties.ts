/**
 * A listener is named after its security protocol, but for the one that demands a certificate of its clients, and
 * Kafka's own two.
 */
export type ListenerName = 'PLAINTEXT' | SecuredListener | 'INTERNAL' | 'CONTROLLER';
export type SecuredListener = 'SSL' | 'MUTUAL_TLS' | 'SASL_PLAINTEXT' | 'SASL_SSL';

/** Where a listener listens, and what port the broker tells its clients: another one where a proxy stands in front. */
export interface Listener {
  readonly name: ListenerName;
  readonly port: number;
  readonly advertisedPort: number;
}

export type Properties = Readonly<Record<string, string | number | boolean>>;

/**
 * One node that is everything, and answers soon: after its start, after a group's first member, after its own death.
 */
const DEFAULTS: Properties = {
  'process.roles': 'broker,controller',
  'node.id': 1,
  'controller.listener.names': 'CONTROLLER',
  'inter.broker.listener.name': 'INTERNAL',
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': 1,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': 1,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  'group.initial.rebalance.delay.ms': 0,
  // See QUICK_RESTART: no stall took the leader away with this under a load of 20 on 2 cores, and a restart after
  // SIGKILL takes 2.7 s.
  'broker.session.timeout.ms': 2000,
  'broker.heartbeat.interval.ms': 200,
  // 128 MiB of the heap otherwise.
  'log.cleaner.dedupe.buffer.size': 2 * 1024 * 1024,
};

/**
 * A broker that comes back after SIGKILL takes connections only when the session of the killed one is over: it is back
 * after 1.3 s with these, and after 11 s with Kafka's own 9 s. In exchange a stall that long, on a busy machine, takes
 * the partitions' leader away for a moment. For tests that kill, whose clients have to bear that anyway.
 */
export const QUICK_RESTART: Properties = { 'broker.session.timeout.ms': 600, 'broker.heartbeat.interval.ms': 100 };

/** As Kafka has it by default: for a broker that is not killed and ought never to stumble. */
export const STEADY: Properties = { 'broker.session.timeout.ms': 9000, 'broker.heartbeat.interval.ms': 2000 };

/** The text of a `server.properties`. Later properties win. */
export function writeProperties(log: string, listeners: readonly Listener[], ...more: readonly Properties[]): string {
  const clients = listeners.filter(({ name }) => name !== 'CONTROLLER');
  const properties: Properties = Object.assign(
    {
      ...DEFAULTS,
      'controller.quorum.voters': listeners
        .filter(({ name }) => name === 'CONTROLLER')
        .map(({ port }) => `1@127.0.0.1:${port}`)
        .join(','),
      listeners: listeners.map(({ name, port }) => `${name}://127.0.0.1:${port}`).join(','),
      'advertised.listeners': clients.map(({ name, advertisedPort }) => `${name}://127.0.0.1:${advertisedPort}`).join(','),
      'listener.security.protocol.map': listeners.map(({ name }) => `${name}:${protocol(name)}`).join(','),
      'log.dirs': log,
    },
    ...more,
  );
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${escape(String(value))}\n`)
    .join('');
}

/** What makes a folder a formatted log folder, beside the first metadata. */
export function writeMetaProperties(): string {
  return `version=1\nnode.id=1\ncluster.id=${drawUuid()}\ndirectory.id=${drawUuid()}\n`;
}

/** As Kafka writes them: 16 bytes in base64 for URLs. A leading dash would be read as an option. */
export function drawUuid(): string {
  const uuid = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64url');
  return uuid.startsWith('-') ? drawUuid() : uuid;
}

function protocol(name: ListenerName): string {
  if (name === 'MUTUAL_TLS') return 'SSL';
  return name === 'INTERNAL' || name === 'CONTROLLER' ? 'PLAINTEXT' : name;
}

/** Java's properties files take a backslash and a line break for their own. */
function escape(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\r', '').replaceAll('\n', '\\n');
}
