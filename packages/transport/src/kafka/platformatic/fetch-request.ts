import type { Connection, Reader, Writer } from '@platformatic/kafka';
import { readFetchAnswer } from '../client/fetch-answer.ts';
import type { FetchAnswer } from '../client/fetch-answer.ts';
import type { FetchQuestion } from '../client/record-wire.ts';
import type { Library } from './library.ts';

const ANY_EPOCH = -1;
/** Each fetch is whole: no session at the broker that a lost answer would leave in doubt. */
const NO_SESSION = 0;
const NO_SESSION_EPOCH = -1;

/** A fetch of one partition. Its answer keeps the records encoded: the library would unfold them without a bound. */
export class FetchRequest {
  readonly #library: Library;

  constructor(library: Library) {
    this.#library = library;
  }

  send(connection: Connection, question: FetchQuestion): Promise<FetchAnswer> {
    const { key, version } = this.#library.fetchV11.api;
    return new Promise((resolve, reject) => {
      connection.send<FetchAnswer>(
        key,
        version,
        () => this.#write(question),
        (_correlation, _key, _version, reader) => this.#read(reader, question.topic),
        false,
        false,
        (error, answer) => (error === null ? resolve(answer!) : reject(error)),
      );
    });
  }

  #write({ topic, partition, offset, waitMs, minBytes, maxBytes, isolationLevel }: FetchQuestion): Writer {
    const partitions = [
      { partition, currentLeaderEpoch: ANY_EPOCH, fetchOffset: offset, lastFetchedEpoch: ANY_EPOCH, partitionMaxBytes: maxBytes },
    ];
    const topics = [{ topicId: topic, partitions }];
    return this.#library.fetchV11.createRequest(waitMs, minBytes, maxBytes, isolationLevel, NO_SESSION, NO_SESSION_EPOCH, topics, [], '');
  }

  #read(reader: Reader, topic: string): FetchAnswer {
    const bytes = reader.buffer.slice(reader.position);
    const errorOf = (code: number) => new this.#library.ProtocolError(code, null, { topic });
    return readFetchAnswer(bytes, this.#library.fetchV11.api.version, topic, errorOf);
  }
}
