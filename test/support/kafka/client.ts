import { KAFKA_CLIENTS, loadKafkaClient } from '@evertree/transport/kafka';
import type { KafkaClientName, MakeBroker } from '@evertree/transport/kafka';

import type { Simulation } from '../simulation.ts';

const ASKED = process.env['EVERTREE_KAFKA_CLIENT'] as KafkaClientName | undefined;

let chosen: KafkaClientName = 'kafkajs';

/**
 * The client of the sites that a test file starts from now on. EVERTREE_KAFKA_CLIENT prevails, so that any file runs
 * with either client.
 */
export function useKafkaClient(name: KafkaClientName): void {
  chosen = name;
}

/** For a long test: its seed decides. */
export function drawKafkaClient(dice: Pick<Simulation, 'below'>): void {
  useKafkaClient(KAFKA_CLIENTS[dice.below(KAFKA_CLIENTS.length)] ?? 'kafkajs');
}

export function testedClientName(): KafkaClientName {
  return ASKED ?? chosen;
}

export function testedClient(): Promise<MakeBroker> {
  return loadKafkaClient(testedClientName());
}
