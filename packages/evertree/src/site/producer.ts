import type { Store } from '@evertree/core';
import { Producer } from '@evertree/producer';
import { optional } from '../optional.ts';
import type { PrimaryConfiguration } from '../configuration/configuration.ts';
import { type ConfigurationSource, readPrimaryConfiguration } from '../configuration/reading.ts';
import { VERSION } from '../version.ts';
import { checkSettings } from './settings.ts';
import { held, producerTransports } from './wire.ts';

/**
 * Feeds the secondaries that a configuration names from a primary's store, until the producer is closed. The store stays open.
 * @param configuration a file such as `configs/nettyProducer.json`, the same as an object, or several of them: for WebSocket, Kafka or both
 * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong, WRONG_ROLE at a secondary's store, UNAUTHENTICATED or
 * FORBIDDEN when a broker refuses this client
 */
export async function startProducer(store: Store, configuration: ConfigurationSource | readonly ConfigurationSource[]): Promise<Producer> {
  const checked = readPrimaryConfiguration(configuration);
  checkSettings(store, checked);
  return openProducer(store, checked);
}

/**
 * As `startProducer`, of a configuration that was read and checked.
 * @param gaveUp told when a way to secondaries failed and will not be tried again (a broker refuses the credentials)
 */
export async function openProducer(
  store: Store,
  configuration: PrimaryConfiguration,
  gaveUp: (error: Error) => void = () => undefined,
): Promise<Producer> {
  const transports = await producerTransports(store, configuration);
  const producer = new Producer({
    store,
    transports: transports.map(transport => held(transport, gaveUp)),
    limits: { ...optional('windowBytes', configuration.limits.windowBytes) },
    program: `evertree ${VERSION}`,
  });
  await producer.open();
  return producer;
}
