export { inspectTopics } from './inspection.ts';
export type { Inspection, InspectionOptions, PartitionInspection, Refusal, TopicInspection } from './inspection.ts';
export { publishTransport } from './publish/transport.ts';
export type { KafkaConnection, KafkaCredentials, KafkaLimits, KafkaWireOptions, PublishOptions, SubscribeOptions } from './options.ts';
export { subscribeTransport } from './subscribe/subscriber.ts';
