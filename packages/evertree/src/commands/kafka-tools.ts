import type { KafkaConnection } from '@evertree/transport/kafka';

/** Settings that a topic should have, by Kafka's names. */
export type WantedSettings = Readonly<Record<string, string>>;

/** Writes commands of Kafka's own tools that can be run as they are, with the brokers and names of a configuration. */
export class KafkaTools {
  readonly #common: string;
  readonly #principal: string;

  constructor({ brokers, tls, sasl }: KafkaConnection) {
    // Java's tools read the properties of security from a file; those of the configuration belong into it.
    const isPlain = tls === undefined && sasl === undefined;
    this.#common = `--bootstrap-server ${brokers.join(',')}${isPlain ? '' : ' --command-config client.properties'}`;
    this.#principal = sasl !== undefined && 'username' in sasl ? `User:${sasl.username}` : 'User:…';
  }

  configure(topic: string, settings: WantedSettings): string {
    return `kafka-configs.sh ${this.#common} --alter --entity-type topics --entity-name ${topic} --add-config ${join(settings, ',')}`;
  }

  create(topic: string, partitions: number, replicas: number, settings: WantedSettings): string {
    const configs = Object.entries(settings).map(([name, value]) => ` --config ${name}=${value}`);
    return `kafka-topics.sh ${this.#common} --create --topic ${topic} --partitions ${partitions} --replication-factor ${replicas}${configs.join('')}`;
  }

  addPartitions(topic: string, partitions: number): string {
    return `kafka-topics.sh ${this.#common} --alter --topic ${topic} --partitions ${partitions}`;
  }

  /** The list has to come from a file, so the command uses bash's process substitution. */
  replicate(partitions: readonly { readonly topic: string; readonly partition: number }[], brokers: readonly number[]): string {
    const list = { version: 1, partitions: partitions.map(({ topic, partition }) => ({ topic, partition, replicas: brokers })) };
    return `kafka-reassign-partitions.sh ${this.#common} --execute --reassignment-json-file <(echo '${JSON.stringify(list)}')`;
  }

  empty(topic: string, partitions: readonly number[]): string {
    const list = { version: 1, partitions: partitions.map(partition => ({ topic, partition, offset: -1 })) };
    return `kafka-delete-records.sh ${this.#common} --offset-json-file <(echo '${JSON.stringify(list)}')`;
  }

  allow(operations: readonly string[], resource: 'topic' | 'group', name: string): string {
    const list = operations.map(operation => ` --operation ${operation}`).join('');
    return `kafka-acls.sh ${this.#common} --add --allow-principal '${this.#principal}'${list} --${resource} ${name}`;
  }
}

function join(settings: WantedSettings, separator: string): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(separator);
}
