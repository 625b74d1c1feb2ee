import type { ArchiveVerification, BackupListing, PruneReport, Restored, RestoreForecast } from '@evertree/archive';
import type { BackupListOptions } from './backup-list.ts';
import type { Drilled, DrillOptions } from './drilling.ts';
import type { InitOptions, InitOutcome } from './initialization.ts';
import type { VerifyArchiveOptions } from './proving.ts';
import type { PruneArchiveOptions } from './pruning.ts';
import type { RestoreSiteOptions } from './restoring.ts';

// What a program does with an archive, as the library has it. The code is loaded by the first call: with that of the
// encryption it is a third of all modules, and a program that only opens a store never needs it.

/**
 * Restores a state of an archive into a directory, on which a site can then be opened. An interrupted restore goes on when
 * it is called again. Where it is refused, nothing was changed.
 * @param target a directory, or `s3://bucket/prefix`
 * @throws EvertreeError WRONG_ROLE if the directory holds something; UNFINISHED; DIRECTORY_IN_USE; NOT_FOUND, COMPACTED,
 *   POSITION_MISMATCH, HISTORY_MISMATCH if there is no such state; DAMAGED with `object` and `nearest`; IDENTITY_NEEDED;
 *   CONFIGURATION_INVALID; STORAGE_FULL; and what the target throws
 */
export function restore(target: string, options: RestoreSiteOptions & { readonly dryRun: true }): Promise<RestoreForecast>;
export function restore(target: string, options: RestoreSiteOptions & { readonly dryRun?: false }): Promise<Restored>;
export function restore(target: string, options: RestoreSiteOptions): Promise<RestoreForecast | Restored>;
export async function restore(target: string, options: RestoreSiteOptions): Promise<RestoreForecast | Restored> {
  return (await import('./restoring.ts')).restore(target, options);
}

/**
 * Restores a state of an archive that is drawn, opens it as a site that takes no writes, compares its digest with the one
 * that the live site recorded, runs a check on it, and looks whether a flipped bit is found. The result is written to the
 * target, where the sites that archive into it read it. A drill that fails is a result; it is not thrown.
 * @param target a directory, or `s3://bucket/prefix`
 * @throws EvertreeError NOT_FOUND where there is no archive, or nothing in it; IDENTITY_NEEDED, CONFIGURATION_INVALID;
 *   CLOSED if it was ended early; and what the target throws before the restore begins
 */
export async function drill(target: string, options?: DrillOptions): Promise<Drilled> {
  return (await import('./drilling.ts')).drill(target, options);
}

/**
 * Proves that an archive is whole and sound, up to a level. What it verified is remembered in the target, so that the next
 * run reads what is new and a part of the rest. Damage is told, not thrown.
 * @param target a directory, or `s3://bucket/prefix`
 * @throws EvertreeError NOT_FOUND where there is no archive; IDENTITY_NEEDED; CONFIGURATION_INVALID; and what the target
 *   throws
 */
export async function verifyArchive(target: string, options?: VerifyArchiveOptions): Promise<ArchiveVerification> {
  return (await import('./proving.ts')).verifyArchive(target, options);
}

/**
 * Lists what an archive can give back: lines, states, images, gaps, marks, sizes, and what is wrong.
 * @param target a directory, or `s3://bucket/prefix`
 * @throws EvertreeError NOT_FOUND if there is no archive, DAMAGED if no manifest is sound, IDENTITY_NEEDED for identities that
 *   are none of the archive's, FORMAT_UNSUPPORTED, and what the target throws
 */
export async function listBackups(target: string, options?: BackupListOptions): Promise<BackupListing> {
  return (await import('./backup-list.ts')).listBackups(target, options);
}

/**
 * Removes from an archive what no rule keeps. It is safe beside sites that archive, restores and other prunes, and needs
 * no identity. What it drops is deleted a day later, by the next prune.
 * @param target a directory, or `s3://bucket/prefix`
 * @throws EvertreeError VALUE_INVALID without a rule; NOT_FOUND, FORBIDDEN, DAMAGED, and what the target throws
 */
export async function prune(target: string, options: PruneArchiveOptions): Promise<PruneReport> {
  return (await import('./pruning.ts')).prune(target, options);
}

/**
 * Finds out whether a place can be trusted with an archive, and makes one there.
 * @param target a directory, which is made if it is missing, or `s3://bucket/prefix`
 * @throws EvertreeError DIRECTORY_IN_USE where there is another archive, or a site; FORBIDDEN where a right is missing that each
 *   backup needs; CONFIGURATION_INVALID for a recipient that is none; what the target throws
 */
export async function initArchive(target: string, options?: InitOptions): Promise<InitOutcome> {
  return (await import('./initialization.ts')).initArchive(target, options);
}
