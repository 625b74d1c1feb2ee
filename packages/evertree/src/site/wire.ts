import { EvertreeError, type Store, type Transport, type TransportEvents } from '@evertree/core';
import { type ListenTransport, dialTransport, listenTransport } from '@evertree/transport/websocket';
import type { Configuration, ConsumerConfiguration, ProducerConfiguration } from '../configuration/configuration.ts';
import { configurationError } from '../configuration/problem.ts';

// The one place that knows which configuration asks for which wire.

/** @throws EvertreeError CONFIGURATION_INVALID for a wire that this version does not have */
export function checkWire(configuration: Configuration): void {
  if (configuration.kind === 'netty-producer' || configuration.kind === 'netty-consumer') return;
  const message = 'is right, but this version has no Kafka transport yet; use "netty-connection" and "netty-consumer" for now';
  throw configurationError([{ source: configuration.source, key: 'kafka-connection', message }]);
}

export function producerTransports(store: Store, configuration: ProducerConfiguration): Transport[] {
  if (configuration.kind !== 'netty-producer') throw unchecked(configuration);
  return configuration.connections.map(({ address, port, retryIntervalMs, tls, token }) =>
    dialTransport({
      clock: store.clock,
      random: store.random,
      report: store.report,
      remotes: [{ address, port }],
      retryIntervalMs,
      token,
      tls: tls === 'off' || tls === undefined ? undefined : { authority: tls.authority },
    }),
  );
}

export function consumerTransport(store: Store, configuration: ConsumerConfiguration): ListenTransport {
  if (configuration.kind !== 'netty-consumer') throw unchecked(configuration);
  const { address, port, autoRestart, token, tls } = configuration;
  return listenTransport({
    clock: store.clock,
    random: store.random,
    report: store.report,
    address,
    port,
    autoRestart,
    token,
    tls: tls === 'off' || tls === undefined ? undefined : { certificate: tls.certificate ?? '', key: tls.key ?? '' },
  });
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

function unchecked(configuration: Configuration): EvertreeError {
  return new EvertreeError('CONFIGURATION_INVALID', `${configuration.source} was not checked for its wire (${configuration.kind})`);
}
