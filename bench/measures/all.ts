import type { Measure } from '../bench.ts';
import { ack } from './ack.ts';
import { archiveAge, archiveMemory, archiveRestore, archiveS3, archiveSize, archiveWriting } from './archive.ts';
import { away } from './away.ts';
import { batch } from './batch.ts';
import { comeback } from './comeback.ts';
import { cold } from './cold.ts';
import { cpu } from './cpu.ts';
import { growth } from './growth.ts';
import { history, historyPin, historyVerify, historyWriting } from './history.ts';
import { heap } from './heap.ts';
import { holds, holdsLarge } from './holds.ts';
import { kafkaAway } from './kafka-away.ts';
import { kafkaClients } from './kafka-clients.ts';
import { kafkaCold } from './kafka-cold.ts';
import { kafkaLag } from './kafka-lag.ts';
import { kafkaMany } from './kafka-many.ts';
import { kafkaVisible } from './kafka-visible.ts';
import { lag } from './lag.ts';
import { profile } from './profile.ts';
import { promote } from './promote.ts';
import { recovery } from './recovery.ts';
import { restart } from './restart.ts';
import { shares } from './shares.ts';
import { start } from './start.ts';
import { kafkaSwitchover, switchover } from './switchover.ts';
import { tenMillion } from './ten-million.ts';
import { visible, wide } from './visible.ts';

/** The last ones kill the broker. */
const KAFKA_MEASURES: readonly Measure[] = [kafkaVisible, kafkaLag, kafkaMany, kafkaCold, kafkaSwitchover, kafkaClients, kafkaAway];
const ARCHIVE_MEASURES: readonly Measure[] = [archiveWriting, archiveSize, archiveAge, archiveRestore, archiveS3, archiveMemory];
/** Those that share contestants follow one another. */
export const MEASURES: readonly Measure[] = [
  visible,
  cpu,
  batch,
  lag,
  ack,
  wide,
  profile,
  cold,
  restart,
  recovery,
  start,
  heap,
  holds,
  holdsLarge,
  away,
  shares,
  switchover,
  promote,
  comeback,
  history,
  historyPin,
  historyWriting,
  historyVerify,
  ...ARCHIVE_MEASURES,
  ...KAFKA_MEASURES,
  tenMillion,
  growth,
];

/**
 * The measures of a run.
 * @param only names between commas; undefined: all that a full or a quick run has
 */
export function chosenMeasures(only: string | undefined, quick: boolean): readonly Measure[] {
  if (only === undefined) return MEASURES.filter(measure => !quick || (measure.fullOnly !== true && measure.needs !== 'kafka'));
  return only.split(',').flatMap(name => {
    if (name === 'kafka') return KAFKA_MEASURES;
    if (name === 'archive') return ARCHIVE_MEASURES;
    const measure = MEASURES.find(each => each.name === name);
    if (measure === undefined) throw new Error(`there is no measure ${name}`);
    return [measure];
  });
}
