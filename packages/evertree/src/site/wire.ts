import type { Store, Transport, TransportEvents } from '@evertree/core';
import type { PublishOptions } from '@evertree/transport/kafka';
import type {
  ConsumerConfiguration,
  KafkaConsumerConfiguration,
  KafkaProducerConfiguration,
  NettyConsumerConfiguration,
  NettyProducerConfiguration,
  PrimaryConfiguration,
} from '../configuration/configuration.ts';

/*
 * The one place that knows which configuration asks for which wire. Each wire is loaded when a configuration asks for
 * it: a site without Kafka never loads its client.
 */

/**
 * Loads the Kafka clients that configurations of a site name. It comes first: a client that is not installed is to be
 * told before anything is made, and not when the roles change.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export async function checkWires(primary: PrimaryConfiguration | undefined, standby: ConsumerConfiguration | undefined): Promise<void> {
  for (const wire of [...(primary?.wires ?? []), ...(standby === undefined ? [] : [standby])]) {
    if (!('client' in wire) || wire.client === undefined) continue;
    const { loadKafkaClient } = await import('@evertree/transport/kafka');
    await loadKafkaClient(wire.client);
  }
}

export async function producerTransports(store: Store, { wires }: PrimaryConfiguration): Promise<Transport[]> {
  const transports: Transport[] = [];
  for (const wire of wires) {
    if (wire.kind === 'kafka-producer') transports.push(await publishing(store, wire));
    else transports.push(...(await dialling(store, wire)));
  }
  return transports.map(keepingAlive);
}

/** For the questions of a promotion: a topic is asked by a claim, and fed nothing. */
export async function raisingTransports(store: Store, { wires }: PrimaryConfiguration): Promise<Transport[]> {
  const transports = wires.map(async wire => (wire.kind === 'kafka-producer' ? [await claiming(store, wire)] : dialling(store, wire)));
  return (await Promise.all(transports)).flat();
}

export async function consumerTransport(store: Store, configuration: ConsumerConfiguration): Promise<Transport> {
  return keepingAlive(
    configuration.kind === 'kafka-consumer' ? await reading(store, configuration) : await listening(store, configuration),
  );
}

async function dialling(store: Store, { connections }: NettyProducerConfiguration): Promise<Transport[]> {
  const { dialTransport } = await import('@evertree/transport/websocket');
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
  const { loadKafkaClient, publishTransport } = await import('@evertree/transport/kafka');
  return publishTransport(publishOptions(store, configuration), await loadKafkaClient(configuration.client));
}

async function claiming(store: Store, configuration: KafkaProducerConfiguration): Promise<Transport> {
  const { claimTransport, loadKafkaClient } = await import('@evertree/transport/kafka');
  return claimTransport(publishOptions(store, configuration), await loadKafkaClient(configuration.client));
}

function publishOptions(store: Store, { connection, topic, partition, key, publish }: KafkaProducerConfiguration): PublishOptions {
  return { ...machineOf(store), site: store.site, connection, topic, partition, key, ...publish };
}

async function reading(store: Store, { client, connection, topic, subscribe }: KafkaConsumerConfiguration): Promise<Transport> {
  const { loadKafkaClient, subscribeTransport } = await import('@evertree/transport/kafka');
  const connect = await loadKafkaClient(client);
  return subscribeTransport({ ...machineOf(store), site: store.site, connection, topic, ...subscribe }, connect);
}

async function listening(store: Store, configuration: NettyConsumerConfiguration): Promise<Transport> {
  const { address, port, autoRestart, token, tokens, tls } = configuration;
  const { listenTransport } = await import('@evertree/transport/websocket');
  return listenTransport({
    ...machineOf(store),
    address,
    port,
    autoRestart,
    token,
    tokens,
    tls: tls === 'off' || tls === undefined ? undefined : { certificate: tls.certificate ?? '', key: tls.key ?? '' },
  });
}

function machineOf({ clock, random, report }: Store): Pick<Store, 'clock' | 'random' | 'report'> {
  return { clock, random, report };
}

/** Node's longest delay. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * A transport that keeps the process alive from its opening until it is closed, also between two attempts to dial: as a
 * server does that listens.
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
    async close(why?: string) {
      clearInterval(timer);
      await transport.close(why);
    },
  };
}
