import type { Store, Transport, TransportEvents } from '@evertree/core';
import { dialTransport, listenTransport } from '@evertree/transport/websocket';
import type {
  ConsumerConfiguration,
  KafkaProducerConfiguration,
  NettyProducerConfiguration,
  PrimaryConfiguration,
} from '../configuration/configuration.ts';

// The one place that knows which configuration asks for which wire.

export async function producerTransports(store: Store, { wires }: PrimaryConfiguration): Promise<Transport[]> {
  const transports: Transport[] = [];
  for (const wire of wires) {
    if (wire.kind === 'kafka-producer') transports.push(await publishing(store, wire));
    else transports.push(...dialling(store, wire));
  }
  return transports.map(keepingAlive);
}

function dialling(store: Store, { connections }: NettyProducerConfiguration): Transport[] {
  return connections.map(({ address, port, retryIntervalMs, tls, token }) =>
    dialTransport({
      ...machineOf(store),
      remotes: [{ address, port }],
      retryIntervalMs,
      token,
      tls: tls === 'off' || tls === undefined ? undefined : { authority: tls.authority },
    }),
  );
}

async function publishing(store: Store, configuration: KafkaProducerConfiguration): Promise<Transport> {
  const { connection, topic, partition, key, publish } = configuration;
  // Loaded now: a site that knows no Kafka never loads its client.
  const { publishTransport } = await import('@evertree/transport/kafka');
  return publishTransport({ ...machineOf(store), site: store.site, connection, topic, partition, key, ...publish });
}

export async function consumerTransport(store: Store, configuration: ConsumerConfiguration): Promise<Transport> {
  if (configuration.kind === 'kafka-consumer') {
    const { connection, topic, subscribe } = configuration;
    const { subscribeTransport } = await import('@evertree/transport/kafka');
    return keepingAlive(subscribeTransport({ ...machineOf(store), site: store.site, connection, topic, ...subscribe }));
  }
  const { address, port, autoRestart, token, tls } = configuration;
  return keepingAlive(
    listenTransport({
      ...machineOf(store),
      address,
      port,
      autoRestart,
      token,
      tls: tls === 'off' || tls === undefined ? undefined : { certificate: tls.certificate ?? '', key: tls.key ?? '' },
    }),
  );
}

function machineOf({ clock, random, report }: Store): Pick<Store, 'clock' | 'random' | 'report'> {
  return { clock, random, report };
}

/** Node's longest delay. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * The same transport, as a part of a running process: it keeps the process alive until it is closed, as a server that listens does, also
 * between two attempts to dial.
 */
function keepingAlive(transport: Transport): Transport {
  let timer: NodeJS.Timeout | undefined;
  return {
    remotes: transport.remotes,
    farEnd: transport.farEnd,
    open(events: TransportEvents) {
      timer = setInterval(() => undefined, LONGEST_MS);
      return transport.open(events);
    },
    async close() {
      clearInterval(timer);
      await transport.close();
    },
  };
}
