import { inject } from 'vitest';
import { askRun } from '../run-server.ts';
import { describeServer } from '../server-suite.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly kafka: KafkaOfRun;
  }
}

/** What a run of the tests tells its workers of Kafka. */
export interface KafkaOfRun {
  /** Why no broker can be started here, and what helps; null where one can. */
  readonly obstacle: string | null;
  /**
   * The run itself listens there: `/prepared` answers once a broker can be started at once, `/broker` with the address
   * of the shared one.
   */
  readonly url: string;
}

/** The first use on a machine fetches Kafka. */
const PREPARATION_LIMIT_MS = 300_000;

/**
 * A suite that needs a real broker: of its own, from `startKafka`, where it kills it or gives it other properties, else
 * `sharedBroker()`. Where there is no Java it does not run, and the closing lines say so; with CI set that is a
 * failure.
 */
export function describeKafka(name: string, suite: () => void): void {
  const { obstacle, url } = inject('kafka');
  const prepare = () => askRun(url, '/prepared');
  describeServer(
    name,
    { mark: 'needsKafka', name: 'a real Kafka broker', obstacle, prepare, preparationLimitMs: PREPARATION_LIMIT_MS },
    suite,
  );
}

/**
 * The address of the one broker that all test files of a run share, started when the first of them asks. Take topics
 * and groups of your own on it, leave it alive.
 */
export function sharedBroker(): Promise<string> {
  return askRun(inject('kafka').url, '/broker');
}
