import type { KafkaConnection } from '../options.ts';
import {
  CONNECTED_TOO_LATE,
  closedByBroker,
  explainer,
  isText,
  refusedCredentials,
  unansweredInTime,
  unfitVersion,
  wordsOf,
} from '../client/failures.ts';
import type { Clue } from '../client/failures.ts';
import type { Remedy } from '../client/remedies.ts';

/** What an error of kafkajs means. */
export const explain = explainer({ clueOf: error => error, explainOwn: explainByName });

function explainByName(clue: Clue, connection: KafkaConnection): Remedy | undefined {
  switch (clue.name) {
    case 'KafkaJSSASLAuthenticationError':
      return refusedCredentials(wordsOf(clue), connection);
    case 'KafkaJSConnectionClosedError':
      return closedByBroker(connection);
    case 'KafkaJSConnectionError':
      return isText(clue.message) && /connection timeout/i.test(clue.message) ? CONNECTED_TOO_LATE : undefined;
    case 'KafkaJSRequestTimeoutError':
      return unansweredInTime(connection);
    case 'KafkaJSServerDoesNotSupportApiKey':
      return unfitVersion(wordsOf(clue));
    default:
      return undefined;
  }
}
