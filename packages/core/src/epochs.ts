import type { Epoch, ExactPosition } from './position.ts';

/** An epoch as far as precedence goes. */
export interface EpochName {
  readonly number: number;
  readonly id: string;
}

/** The higher (number, id) wins. */
export function compareEpochs(a: EpochName, b: EpochName): number {
  if (a.number !== b.number) return a.number - b.number;
  if (a.id === b.id) return 0;
  return a.id < b.id ? -1 : 1;
}

/** The highest epoch that a site knows. */
export function highestEpoch(epochs: readonly Epoch[], position: ExactPosition): EpochName {
  const names: EpochName[] = [{ number: position.epoch, id: position.epochId }, ...epochs];
  return names.reduce((highest, name) => (compareEpochs(name, highest) > 0 ? name : highest));
}

/** Whether a history with this table, up to `last`, went through `position`. */
export function historyIncludes(epochs: readonly Epoch[], last: ExactPosition, position: ExactPosition): boolean {
  const index = epochs.findIndex(epoch => epoch.id === position.epochId && epoch.number === position.epoch);
  const epoch = epochs[index];
  if (epoch === undefined) return false;
  const end = epochs[index + 1]?.base ?? last;
  return position.revision > epoch.base.revision && position.revision <= end.revision;
}
