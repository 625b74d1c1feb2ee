import type { Store } from '@evertree/core';
import { Producer } from '@evertree/producer';
import { optional } from '../configuration/resolution.ts';
import type { ProducerConfiguration } from '../configuration/configuration.ts';
import { type ConfigurationSource, readProducerConfiguration } from '../configuration/reading.ts';
import { VERSION } from '../version.ts';
import { checkSettings } from './settings.ts';
import { checkWire, held, producerTransports } from './wire.ts';

/**
 * Feeds the secondaries that a configuration names from a primary's store, until the producer is closed. The store stays open.
 * @param configuration a file such as `configs/nettyProducer.json`, the same as an object, or several of them
 * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong, WRONG_ROLE at a secondary's store
 */
export async function startProducer(store: Store, configuration: ConfigurationSource | readonly ConfigurationSource[]): Promise<Producer> {
  const checked = readProducerConfiguration(configuration);
  checkWire(checked);
  checkSettings(store, checked);
  return openProducer(store, checked);
}

/** As `startProducer`, of a configuration that was read and checked. */
export async function openProducer(store: Store, configuration: ProducerConfiguration): Promise<Producer> {
  const producer = new Producer({
    store,
    transports: producerTransports(store, configuration).map(transport => held(transport)),
    limits: { ...optional('windowBytes', configuration.limits.windowBytes) },
    program: `evertree ${VERSION}`,
  });
  await producer.open();
  return producer;
}
