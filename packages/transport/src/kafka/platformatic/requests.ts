import type { Library } from './library.ts';

/**
 * The requests that are made, each in one version that every broker from Kafka 2.4 on takes. Versions that name topics
 * by id are not among them: an id would have to be asked for again whenever a topic was made again.
 */
export interface KafkaRequests {
  readonly metadata: Library['metadataV9']['api'];
  readonly listOffsets: Library['listOffsetsV5']['api'];
  readonly describeConfigs: Library['describeConfigsV2']['api'];
  readonly createTopics: Library['createTopicsV5']['api'];
  readonly deleteRecords: Library['deleteRecordsV1']['api'];
  readonly findCoordinator: Library['findCoordinatorV3']['api'];
  readonly offsetCommit: Library['offsetCommitV7']['api'];
  readonly offsetFetch: Library['offsetFetchV6']['api'];
  readonly initProducerId: Library['initProducerIdV2']['api'];
  readonly fetch: Library['fetchV11']['api'];
  readonly produce: Library['produceV8']['api'];
}

export function requestsOf(library: Library): KafkaRequests {
  return {
    metadata: library.metadataV9.api,
    listOffsets: library.listOffsetsV5.api,
    describeConfigs: library.describeConfigsV2.api,
    createTopics: library.createTopicsV5.api,
    deleteRecords: library.deleteRecordsV1.api,
    findCoordinator: library.findCoordinatorV3.api,
    offsetCommit: library.offsetCommitV7.api,
    offsetFetch: library.offsetFetchV6.api,
    initProducerId: library.initProducerIdV2.api,
    fetch: library.fetchV11.api,
    produce: library.produceV8.api,
  };
}
