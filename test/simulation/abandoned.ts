import type { Epoch, Store } from '@evertree/core';
import { override } from './overrides.ts';

/** What is looked at of a world. */
interface CommandedWorld {
  readonly operators: { readonly abandoned: readonly string[] };
  /** Every entry of a table of epochs that somebody told, by its id. */
  readonly epochs: ReadonlyMap<string, Epoch>;
  readonly sites: readonly { readonly running: { readonly store: Pick<Store, 'epochs'> } | undefined }[];
  violated(law: string, what: string): void;
}

/**
 * Nothing comes of a command after everybody who gave it was told that it is abandoned: no site hands over for it, and
 * its target does not begin. And no site begins for a command that it has declined.
 *
 * Where another site was promoted, that ends the command. A target that was cut off may not know it, and begin: its epoch
 * is below that of the promotion, so it must not be in the history that goes on (`judgeCommands`).
 */
export function watchCommands(world: CommandedWorld, site: string, store: Store): void {
  override(store, 'handOver', handOver => (to, command) => {
    if (world.operators.abandoned.includes(command)) world.violated('abandoned', `${command} was abandoned, and ${site} hands over for it`);
    return handOver(to, command);
  });
  override(store, 'beginEpoch', beginEpoch => (epoch, reason) => {
    const ended = store.epochs.at(-1);
    if (reason === 'switchover' && ended?.end !== undefined) watchBeginning(world, site, store, ended, ended.end.command);
    beginEpoch(epoch, reason);
  });
}

function watchBeginning(world: CommandedWorld, site: string, { journal }: Store, ended: Epoch, command: string): void {
  const isAbandoned = world.operators.abandoned.includes(command) && !isOutdone(world, ended);
  if (!isAbandoned && !journal.identity.declined.has(command)) return;
  world.violated('abandoned', `${command} was ${isAbandoned ? 'abandoned' : 'declined'}, and ${site} begins an epoch for it`);
}

/** Whether a site was promoted above an epoch, as far as anybody has told or knows. */
function isOutdone({ epochs, sites }: CommandedWorld, { number }: Epoch): boolean {
  const known = [...epochs.values(), ...sites.flatMap(({ running }) => running?.store.epochs ?? [])];
  return known.some(entry => entry.reason === 'promotion' && entry.number > number);
}

/** No epoch of the history that goes on was begun for a command that was abandoned. */
export function judgeCommands(world: CommandedWorld): void {
  const standing = new Set(world.sites[0]!.running!.store.epochs.map(({ id }) => id));
  const entries = [...world.epochs.values()];
  for (const command of world.operators.abandoned) {
    const ended = entries.find(({ end }) => end?.command === command);
    if (ended === undefined) continue;
    const following = entries.filter(({ base }) => base.epochId === ended.id);
    const next = following.find(({ id, site, reason }) => site === ended.end!.to && reason === 'switchover' && standing.has(id));
    // Of two that follow one handover a promotion began one. It told what it knew; the other one's id may win.
    const isRivalled = following.some(({ reason }) => reason === 'promotion');
    if (next !== undefined && !isRivalled)
      world.violated('abandoned', `${command} was abandoned, and ${next.site} has begun epoch ${next.number} for it`);
  }
}
