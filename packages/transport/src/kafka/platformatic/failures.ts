import type { KafkaConnection } from '../options.ts';
import {
  CONNECTED_TOO_LATE,
  closedByBroker,
  errorsIn,
  explainer,
  refusedCredentials,
  unansweredInTime,
  wordsOf,
} from '../client/failures.ts';
import type { Clue } from '../client/failures.ts';
import { passing } from '../client/remedies.ts';
import type { Remedy } from '../client/remedies.ts';

/** What an error of @platformatic/kafka means. */
export const explain = explainer({ clueOf, explainOwn });

/** Of the credentials: told with the user's name. */
const REFUSED = 'SASL_AUTHENTICATION_FAILED';

/** How this library's errors name what Kafka said. */
interface LibraryError {
  readonly apiId?: unknown;
  readonly serverErrorMessage?: unknown;
  readonly message?: unknown;
}

function clueOf(error: object): Clue {
  const { apiId, serverErrorMessage, message }: LibraryError = innermostOfLogin(error) ?? error;
  const { code, name, broker, topic, batchOffset } = error as Clue;
  return { code, name, broker, topic, batchOffset, type: apiId, message: serverErrorMessage ?? message };
}

/** A failed login says why in its causes. */
function innermostOfLogin(error: object): LibraryError | undefined {
  if ((error as Clue).code !== 'PLT_KFK_AUTHENTICATION') return undefined;
  const { apiId, serverErrorMessage, message } = errorsIn(error).at(-1) as LibraryError;
  return { apiId: apiId === REFUSED ? undefined : apiId, message: serverErrorMessage ?? message };
}

function explainOwn(clue: Clue, connection: KafkaConnection): Remedy | undefined {
  const words = wordsOf(clue);
  switch (clue.code) {
    case 'PLT_KFK_AUTHENTICATION':
      return refusedCredentials(words, connection);
    case 'PLT_KFK_NETWORK':
      // Timeouts have this code, too.
      if (/^request timed out/i.test(words)) return unansweredInTime(connection);
      if (/timed out/i.test(words)) return CONNECTED_TOO_LATE;
      return /^connection closed/i.test(words) ? closedByBroker(connection) : undefined;
    case 'PLT_KFK_USER':
      if (/requires TLS/.test(words)) return passing('it answers in TLS; does "security.protocol" fit that listener?');
      return /TLS handshake failed/.test(words)
        ? passing('it does not answer in TLS; does "security.protocol" fit that listener?')
        : undefined;
    default:
      return undefined;
  }
}
