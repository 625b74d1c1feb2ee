import type { Store } from '@evertree/core';
import type { SiteConfiguration } from '../configuration/configuration.ts';
import { type Problem, configurationError } from '../configuration/problem.ts';

export type JournalSettings = SiteConfiguration['journal'];

/** Bounds of the store itself; a file's `limits` has these and others. */
export type StoreSettings = Pick<SiteConfiguration['limits'], 'pendingBytes' | 'frameBytes' | 'changeSetBytes' | 'listenerBatches'>;

/** How a store was opened: what a configuration asks for later can't differ from it. */
interface Opened {
  readonly directory: string | undefined;
  readonly journal: JournalSettings;
  readonly limits: StoreSettings;
}

const opened = new WeakMap<Store, Opened>();

export function remember(store: Store, settings: Opened): void {
  opened.set(store, settings);
}

/** The directory of a store that `openStore` opened; undefined in memory. */
export function directoryOf(store: Store): string | undefined {
  return opened.get(store)?.directory;
}

/** The bounds that concern the store, out of a file's. */
export function storeSettings({ limits }: SiteConfiguration): StoreSettings {
  const { pendingBytes, frameBytes, changeSetBytes, listenerBatches } = limits;
  return Object.fromEntries(
    Object.entries({ pendingBytes, frameBytes, changeSetBytes, listenerBatches }).filter(([, value]) => value !== undefined),
  );
}

/**
 * A file's `journal` and `limits` are for the store, which is open already: they have to be what it was opened with.
 * @throws EvertreeError CONFIGURATION_INVALID naming each that is not
 */
export function checkSettings(store: Store, configuration: SiteConfiguration): void {
  const present = opened.get(store);
  const problems: Problem[] = [];
  const compare = (section: string, wanted: object, found: object | undefined) => {
    for (const [key, value] of Object.entries(wanted)) {
      if ((found as Record<string, unknown> | undefined)?.[key] === value) continue;
      const message = `asks for ${String(value)}, but the store was opened without it; pass openStore({ ${section}: { ${key}: … } }) the same`;
      problems.push({ source: configuration.source, key: `${section}.${key}`, message });
    }
  };
  compare('journal', configuration.journal, present?.journal);
  compare('limits', storeSettings(configuration), present?.limits);
  if (problems.length > 0) throw configurationError(problems);
}
