import { isEvertreeError } from '@evertree/core';
import { TOPIC_SETTINGS, TOPIC_USES, inspectTopics, loadKafkaClient, topicNames } from '@evertree/transport/kafka';
import type { BrokerRefusal, Inspection, TopicInspection, TopicUse } from '@evertree/transport/kafka';
import type { KafkaConsumerConfiguration, KafkaProducerConfiguration } from '../configuration/configuration.ts';
import { type Finding, failed, note, refused, warning } from './finding.ts';
import { KafkaTools } from './kafka-tools.ts';
import { checkReplicas, checkSettings } from './topic-check.ts';

type KafkaFile = KafkaProducerConfiguration | KafkaConsumerConfiguration;

/** The operations, as Kafka names them, that a site of each role needs on each topic. */
const RIGHTS: Readonly<Record<KafkaFile['kind'], Readonly<Record<TopicUse, readonly string[]>>>> = {
  'kafka-producer': {
    frames: ['Read', 'Write', 'Create', 'DescribeConfigs'],
    snapshots: ['Read', 'Write', 'Create', 'Delete', 'DescribeConfigs'],
    control: ['Read', 'Write', 'Create', 'DescribeConfigs'],
  },
  'kafka-consumer': { frames: ['Read'], snapshots: ['Read'], control: ['Read', 'Write'] },
};
const GROUP_RIGHTS: readonly string[] = ['Read', 'Describe'];
const MOST_REPLICAS = 3;

/**
 * Asks the brokers of a Kafka file whether a site would work with their topics, settings and rights. Changes nothing.
 */
export async function checkBrokers(configuration: KafkaFile): Promise<Finding[]> {
  const { connection } = configuration;
  const names = topicNames(configuration.topic);
  try {
    const questions = {
      connection,
      report: () => undefined,
      topics: TOPIC_USES.map(use => names[use]),
      written: configuration.kind === 'kafka-producer' ? TOPIC_USES.map(use => names[use]) : [names.control],
      group: configuration.kind === 'kafka-consumer' ? configuration.subscribe.groupId : undefined,
    };
    const inspection = await inspectTopics(questions, await loadKafkaClient(configuration.client));
    return new BrokerCheck(configuration, inspection).findings();
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    const tell = error.code === 'UNREACHABLE' ? failed : refused;
    return [tell('the brokers', `can't be asked: ${error.message}`)];
  }
}

class BrokerCheck {
  readonly #configuration: KafkaFile;
  readonly #inspection: Inspection;
  readonly #tools: KafkaTools;

  constructor(configuration: KafkaFile, inspection: Inspection) {
    this.#configuration = configuration;
    this.#inspection = inspection;
    this.#tools = new KafkaTools(configuration.connection);
  }

  findings(): Finding[] {
    const { brokers, topics, refusals } = this.#inspection;
    const findings = [note('the brokers', `answer: ${brokers.map(({ address }) => address).join(', ')}`)];
    findings.push(...refusals.map(refusal => this.#refusal(refusal)));
    topics.forEach((topic, index) => {
      const use = TOPIC_USES[index] ?? 'frames';
      if (topic.partitions !== undefined) findings.push(...checkSettings(use, topic, this.#tools));
      else if (!refusals.some(({ subject }) => subject === topic.name)) findings.push(this.#missing(use, topic.name));
    });
    const [frames] = topics;
    if (frames?.partitions !== undefined) findings.push(...this.#partitions(frames));
    findings.push(...checkReplicas(topics, this.#inspection, this.#tools));
    return findings;
  }

  #refusal({ subject, operation, error }: BrokerRefusal): Finding {
    const names = topicNames(this.#configuration.topic);
    const use = TOPIC_USES.find(each => names[each] === subject);
    if (operation === 'commit offsets of') {
      const message = "takes no offsets of this user: dashboards won't show the progress of this site; nothing else needs them";
      return warning(`group ${subject}`, message, this.#tools.allow(GROUP_RIGHTS, 'group', `${subject} --resource-pattern-type prefixed`));
    }
    const place = use === undefined ? subject : `topic ${subject}`;
    if (operation === 'see the settings of') {
      const message = `${use === undefined ? 'have' : 'has'} settings that this user may not see, so they are not checked`;
      return warning(place, message, this.#grant(use, subject));
    }
    const verb = { see: 'seen', read: 'read', write: 'written', create: 'made' }[operation];
    if (!error.lasting) return failed(place, `could not be ${verb}: ${error.message}`);
    const remedy = operation === 'create' && use !== undefined ? this.#create(use, subject) : this.#grant(use, subject);
    const isForbidden = error.code === 'FORBIDDEN';
    const message = isForbidden ? `may not be ${verb} by this user` : `can't be ${verb}: ${error.message}`;
    return refused(place, message, isForbidden ? remedy : null);
  }

  #grant(use: TopicUse | undefined, topic: string): string | null {
    return use === undefined ? null : this.#tools.allow(RIGHTS[this.#configuration.kind][use], 'topic', topic);
  }

  #create(use: TopicUse, topic: string): string {
    const partitions = use === 'frames' && this.#configuration.kind === 'kafka-producer' ? this.#configuration.partition + 1 : 1;
    return this.#tools.create(topic, partitions, this.#replicas(), TOPIC_SETTINGS[use]);
  }

  #replicas(): number {
    return Math.min(MOST_REPLICAS, this.#inspection.brokers.length);
  }

  #missing(use: TopicUse, topic: string): Finding {
    if (this.#configuration.kind === 'kafka-consumer') return note(`topic ${topic}`, 'is not there yet; the primary makes it');
    const replicas = Number(this.#inspection.defaults?.get('default.replication.factor') ?? Number.NaN);
    if (replicas !== 1) return note(`topic ${topic}`, 'is not there yet, and may be made; the primary makes it');
    const made = 'is not there yet; the primary would make it with one replica (the brokers\' "default.replication.factor")';
    if (this.#replicas() === 1)
      return warning(`topic ${topic}`, `${made}, and the cluster has one broker: the records are lost if that is lost`);
    return warning(`topic ${topic}`, `${made}; raise that, or make it before`, this.#create(use, topic));
  }

  /** A stream lives in one partition: the one that the file names has to exist, and others should be empty. */
  #partitions({ name, partitions = [] }: TopicInspection): Finding[] {
    if (this.#configuration.kind === 'kafka-consumer') return [];
    const { partition } = this.#configuration;
    const subject = `topic ${name}`;
    if (!partitions.some(found => found.partition === partition)) {
      const message = `has no partition ${partition}, which "partition" names; write another, or add it`;
      return [refused(subject, message, this.#tools.addPartitions(name, partition + 1))];
    }
    const others = partitions.filter(found => found.partition !== partition && (found.records ?? 0n) > 0n).map(found => found.partition);
    if (others.length === 0) return [];
    const list = others.length > 1 ? `partitions ${others.join(', ')}` : `partition ${others[0]}`;
    const message = `has records in ${list} too, which no site reads: each stream needs a topic of its own, and one partition (${partition}) of it`;
    return [warning(subject, message, this.#tools.empty(name, others))];
  }
}
