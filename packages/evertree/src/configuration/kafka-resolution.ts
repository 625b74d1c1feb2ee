import type { z } from 'zod';
import type { FileConfiguration, KafkaConsumerConfiguration, KafkaProducerConfiguration } from './configuration.ts';
import { Credentials } from './credentials.ts';
import type { ConfigurationDocument } from './document.ts';
import { resolveKafkaConnection } from './kafka-connection.ts';
import { KafkaSection } from './kafka-section.ts';
import { publishSettings, subscribeSettings } from './kafka-settings.ts';
import type { ConfigurationProblem } from './problem.ts';
import { resolveAcknowledgement, resolveSite } from './resolution.ts';
import type { CommonSections, kafkaConsumerSchema, kafkaProducerSchema } from './sections.ts';

// Makes a configuration of a checked Kafka file, as resolution.ts does of the others.

const DEFAULT_TOPIC = 'DefaultTopic';
const DEFAULT_KEY = 'DefaultKey';
const DEFAULT_PARTITION = 0;
const DEFAULT_PRODUCER_PROPERTIES = { retries: '0', 'linger.ms': '1', 'max.block.ms': '1000' };
const DEFAULT_CONSUMER_PROPERTIES = { 'group.id': 'test', 'enable.auto.commit': 'true', 'auto.commit.interval.ms': '3000' };

type Properties = Readonly<Record<string, string | number | boolean>>;

export function resolveKafkaProducer(
  document: ConfigurationDocument,
  value: z.infer<typeof kafkaProducerSchema>,
  problems: ConfigurationProblem[],
): KafkaProducerConfiguration {
  const messaging = value['kafka-messaging'];
  const properties = value['kafka-producer-properties'] ?? DEFAULT_PRODUCER_PROPERTIES;
  const section = openSection(document, value, 'kafka-producer-properties', properties, problems);
  const connection = resolveKafkaConnection(section);
  const publish = publishSettings(section);
  return {
    kind: 'kafka-producer',
    ...resolveKafkaSite(document, value, section, problems),
    topic: messaging?.topic ?? DEFAULT_TOPIC,
    partition: messaging?.partition ?? DEFAULT_PARTITION,
    key: messaging?.key ?? DEFAULT_KEY,
    client: value['kafka-client'],
    connection,
    publish,
    acknowledgement: resolveAcknowledgement(value.acknowledgement),
  };
}

export function resolveKafkaConsumer(
  document: ConfigurationDocument,
  value: z.infer<typeof kafkaConsumerSchema>,
  problems: ConfigurationProblem[],
): KafkaConsumerConfiguration {
  const properties = value['kafka-consumer-properties'] ?? DEFAULT_CONSUMER_PROPERTIES;
  const section = openSection(document, value, 'kafka-consumer-properties', properties, problems);
  const connection = resolveKafkaConnection(section);
  const subscribe = subscribeSettings(section);
  return {
    kind: 'kafka-consumer',
    ...resolveKafkaSite(document, value, section, problems),
    topic: value['kafka-messaging']?.topic ?? DEFAULT_TOPIC,
    client: value['kafka-client'],
    connection,
    subscribe,
  };
}

function resolveKafkaSite(
  document: ConfigurationDocument,
  value: CommonSections,
  section: KafkaSection,
  problems: ConfigurationProblem[],
): FileConfiguration {
  const credentials = new Credentials(document, problems);
  const shared = { auth: credentials.auth(value.auth, ['auth']), tls: credentials.tls(value.tls, ['tls'], 'dials') };
  if (value.tls !== undefined || value.auth !== undefined) {
    section.note(
      '"tls" and "auth" concern HTTP in this file; "security.protocol", "ssl.…" and "sasl.…" secure the connections to the brokers',
    );
  }
  const site = resolveSite(document, value, 'dials', shared, credentials);
  return { ...site, notes: [...section.notes, ...site.notes], warnings: [...site.warnings, ...section.warnings] };
}

/** The properties as texts. `bootstrap.servers` comes from host and port unless it is among them. */
function openSection(
  document: ConfigurationDocument,
  value: { 'kafka-connection'?: { 'kafka-host'?: string | undefined; 'kafka-port'?: number | undefined } | undefined },
  name: string,
  properties: Properties,
  problems: ConfigurationProblem[],
): KafkaSection {
  const texts = Object.fromEntries(Object.entries(properties).map(([property, setting]) => [property, String(setting)]));
  const connection = value['kafka-connection'];
  const { 'kafka-host': host, 'kafka-port': port } = connection ?? {};
  const hasServers = document.has([name, 'bootstrap.servers']);
  if (!hasServers) checkConnection(document, host, port, problems);
  const section = new KafkaSection(document, name, hasServers ? texts : { ...texts, 'bootstrap.servers': `${host}:${port}` }, problems);
  if (hasServers && connection !== undefined && texts['bootstrap.servers'] !== `${host}:${port}`) {
    section.note('"bootstrap.servers" prevails over "kafka-host" and "kafka-port", which have no effect');
  }
  return section;
}

function checkConnection(
  document: ConfigurationDocument,
  host: string | undefined,
  port: number | undefined,
  problems: ConfigurationProblem[],
): void {
  const told = (key: string, message: string) => problems.push(document.problem(['kafka-connection', key], message));
  const instead = '(or give "bootstrap.servers" in the properties)';
  if (host === undefined) told('kafka-host', `is missing; it is the broker's address ${instead}`);
  else if (host.includes(':'))
    told('kafka-host', 'is an IPv6 address, which the Kafka client does not take; write a name that leads to it');
  if (port === undefined) told('kafka-port', `is missing; it is the broker's port ${instead}`);
}
