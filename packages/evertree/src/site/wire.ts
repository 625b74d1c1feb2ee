import type { Store, Transport, TransportEvents } from '@evertree/core';
import type { PublishOptions } from '@evertree/transport/kafka';
import type {
  ConsumerConfiguration,
  KafkaConsumerConfiguration,
  KafkaProducerConfiguration,
  NettyConsumerConfiguration,
  NettyProducerConfiguration,
  Present,
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

/*
 * Credentials are handed to a transport as getters, which it reads for each new connection: so it has those of the last
 * reload, whenever it was made.
 */

export async function producerTransports(store: Store, present: Present<PrimaryConfiguration>): Promise<Transport[]> {
  const transports: Transport[] = [];
  for (const wire of wiresOf(present)) {
    if (wire.kind === 'kafka-producer') transports.push(await publishing(store, wire.present));
    else transports.push(...(await dialling(store, wire.present)));
  }
  return transports.map(keepingAlive);
}

/** For the questions of a promotion: a topic is asked by a claim, and fed nothing. */
export async function raisingTransports(store: Store, present: Present<PrimaryConfiguration>): Promise<Transport[]> {
  const transports = wiresOf(present).map(async wire =>
    wire.kind === 'kafka-producer' ? [await claiming(store, wire.present)] : dialling(store, wire.present),
  );
  return (await Promise.all(transports)).flat();
}

export async function consumerTransport(store: Store, present: Present<ConsumerConfiguration>): Promise<Transport> {
  const isKafka = present().kind === 'kafka-consumer';
  // Its kind stays while a site runs.
  return keepingAlive(
    isKafka
      ? await reading(store, present as Present<KafkaConsumerConfiguration>)
      : await listening(store, present as Present<NettyConsumerConfiguration>),
  );
}

type PresentWire =
  | { readonly kind: 'netty-producer'; readonly present: Present<NettyProducerConfiguration> }
  | { readonly kind: 'kafka-producer'; readonly present: Present<KafkaProducerConfiguration> };

/** A primary's wires; their number, order and kinds stay while a site runs. */
function wiresOf(present: Present<PrimaryConfiguration>): readonly PresentWire[] {
  return present().wires.map(({ kind }, index) => ({ kind, present: () => present().wires[index] }) as PresentWire);
}

async function dialling(store: Store, present: Present<NettyProducerConfiguration>): Promise<Transport[]> {
  const { dialTransport } = await import('@evertree/transport/websocket');
  return present().connections.map(({ address, port, retryIntervalMs }, index) => {
    const connection = () => present().connections[index]!;
    return dialTransport({
      ...machineOf(store),
      remotes: [{ address, port }],
      retryIntervalMs,
      get token() {
        return connection().token;
      },
      get tls() {
        const { tls } = connection();
        return tls === 'off' || tls === undefined ? undefined : { authority: tls.authority };
      },
    });
  });
}

async function publishing(store: Store, present: Present<KafkaProducerConfiguration>): Promise<Transport> {
  const { loadKafkaClient, publishTransport } = await import('@evertree/transport/kafka');
  return publishTransport(publishOptions(store, present), await loadKafkaClient(present().client));
}

async function claiming(store: Store, present: Present<KafkaProducerConfiguration>): Promise<Transport> {
  const { claimTransport, loadKafkaClient } = await import('@evertree/transport/kafka');
  return claimTransport(publishOptions(store, present), await loadKafkaClient(present().client));
}

function publishOptions(store: Store, present: Present<KafkaProducerConfiguration>): PublishOptions {
  const { topic, partition, key, publish } = present();
  return {
    ...machineOf(store),
    site: store.site,
    get connection() {
      return present().connection;
    },
    topic,
    partition,
    key,
    ...publish,
  };
}

async function reading(store: Store, present: Present<KafkaConsumerConfiguration>): Promise<Transport> {
  const { loadKafkaClient, subscribeTransport } = await import('@evertree/transport/kafka');
  const { client, topic, subscribe } = present();
  const connect = await loadKafkaClient(client);
  const options = {
    ...machineOf(store),
    site: store.site,
    get connection() {
      return present().connection;
    },
    topic,
    ...subscribe,
  };
  return subscribeTransport(options, connect);
}

async function listening(store: Store, present: Present<NettyConsumerConfiguration>): Promise<Transport> {
  const { address, port, autoRestart } = present();
  const { listenTransport } = await import('@evertree/transport/websocket');
  return listenTransport({
    ...machineOf(store),
    address,
    port,
    autoRestart,
    get token() {
      return present().token;
    },
    get tokens() {
      return present().tokens;
    },
    get tls() {
      const { tls } = present();
      return tls === 'off' || tls === undefined ? undefined : { certificate: tls.certificate ?? '', key: tls.key ?? '' };
    },
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
