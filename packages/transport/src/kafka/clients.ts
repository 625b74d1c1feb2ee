import type { Broker, BrokerOptions } from './broker.ts';

/** The Kafka clients that a site can use. */
export const KAFKA_CLIENTS = ['kafkajs', 'platformatic'] as const;

export type KafkaClientName = (typeof KAFKA_CLIENTS)[number];

/** Makes the client of each attempt. */
export type MakeBroker = (options: BrokerOptions) => Broker;

/**
 * Loads a Kafka client, and only that one.
 * @throws EvertreeError CONFIGURATION_INVALID where its package is not installed, with the command that installs it
 */
export async function loadKafkaClient(name: KafkaClientName = 'kafkajs'): Promise<MakeBroker> {
  if (name === 'kafkajs') return (await import('./kafkajs/broker.ts')).createBroker;
  const [{ loadLibrary }, { createBroker }] = await Promise.all([import('./platformatic/library.ts'), import('./platformatic/broker.ts')]);
  const library = await loadLibrary();
  return options => createBroker(library, options);
}
