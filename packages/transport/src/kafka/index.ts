export { inspectTopics } from './inspection.ts';
export type { BrokerRefusal, Inspection, InspectionOptions, PartitionInspection, TopicInspection } from './inspection.ts';
export { claimTransport } from './claims/claim-transport.ts';
export { publishTransport } from './publish/publisher.ts';
export type { KafkaConnection, KafkaCredentials, KafkaLimits, KafkaWireOptions, PublishOptions, SubscribeOptions } from './options.ts';
export { subscribeTransport } from './subscribe/subscriber.ts';
export { LEAST_MESSAGE_BYTES, TOPIC_SETTINGS, TOPIC_USES, limitOf, retentionFaults, topicNames } from './topics.ts';
export type { RetentionFault, TopicNames, TopicUse } from './topics.ts';
