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
  return transports;
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
    return subscribeTransport({ ...machineOf(store), site: store.site, connection, topic, ...subscribe });
  }
  const { address, port, autoRestart, token, tls } = configuration;
  return listenTransport({
    ...machineOf(store),
    address,
    port,
    autoRestart,
    token,
    tls: tls === 'off' || tls === undefined ? undefined : { certificate: tls.certificate ?? '', key: tls.key ?? '' },
  });
}

function machineOf({ clock, random, report }: Store): Pick<Store, 'clock' | 'random' | 'report'> {
  return { clock, random, report };
}

/** Node's longest delay; what runs then is nothing. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * The same transport, as a part of a running process: like a server that listens it keeps the process alive until it is closed, also
 * between two attempts to dial.
 * @param gaveUp told when it fails for good and will not try again
 */
export function held(transport: Transport, gaveUp: (error: Error) => void = () => undefined): Transport {
  let hold: NodeJS.Timeout | undefined;
  return {
    remotes: transport.remotes,
    farEnd: transport.farEnd,
    open(events: TransportEvents) {
      hold = setInterval(() => undefined, LONGEST_MS);
      return transport.open({
        link: link => events.link(link),
        failed(remote, error, retryInMs) {
          events.failed(remote, error, retryInMs);
          if (retryInMs === Infinity) gaveUp(error);
        },
      });
    },
    async close() {
      clearInterval(hold);
      await transport.close();
    },
  };
}
