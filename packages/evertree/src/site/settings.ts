import { type ArchiveConfiguration, type SiteConfiguration, freeze } from '../configuration/configuration.ts';
import { type ConfigurationProblem, configurationError } from '../configuration/problem.ts';

export type JournalSettings = SiteConfiguration['journal'];

/** Bounds of the store itself; a file's `limits` has these and others. */
export type StoreLimitSettings = Pick<SiteConfiguration['limits'], 'pendingBytes' | 'frameBytes' | 'changeSetBytes' | 'listenerBatches'>;

/** How a site's store is opened. The store takes them once, so a configuration that is read later must agree. */
export interface StoreSettings {
  readonly journal: JournalSettings;
  readonly limits: StoreLimitSettings;
  readonly archive: ArchiveConfiguration;
}

/**
 * What code and configurations together ask of a store: each may say what the others leave open.
 * @throws EvertreeError CONFIGURATION_INVALID naming each key that two of them set differently
 */
export function joinSettings(own: StoreSettings, configurations: readonly SiteConfiguration[]): StoreSettings {
  const joined: Record<keyof StoreSettings, Record<string, unknown>> = {
    journal: { ...own.journal },
    limits: { ...own.limits },
    archive: { ...own.archive },
  };
  const problems: ConfigurationProblem[] = [];
  for (const configuration of configurations) {
    for (const [section, key, value] of settingsIn(configuration)) {
      const present = (joined[section][key] ??= value);
      if (isSame(present, value)) continue;
      const difference = isSecret(key) ? 'differs from that of the site' : `asks for ${String(value)}, and the site for ${String(present)}`;
      const message = `${difference}; it concerns the whole site: let them agree`;
      problems.push({ source: configuration.source, key: `${section}.${key}`, message });
    }
  }
  if (problems.length > 0) throw configurationError(problems);
  return freeze(joined);
}

/**
 * Compares a configuration that is read after the store was opened: its `journal`, `limits` and `archive` must be the store's.
 * @throws EvertreeError CONFIGURATION_INVALID naming each that differs
 */
export function checkSettings(present: StoreSettings, configuration: SiteConfiguration): void {
  const problems: ConfigurationProblem[] = [];
  for (const [section, key, value] of settingsIn(configuration)) {
    if (isSame((present[section] as Readonly<Record<string, unknown>>)[key], value)) continue;
    const asks = isSecret(key) ? 'is given' : `asks for ${String(value)}`;
    const message = `${asks}, but the store was opened without it; pass openStore({ ${section}: { ${key}: … } }) the same`;
    problems.push({ source: configuration.source, key: `${section}.${key}`, message });
  }
  if (problems.length > 0) throw configurationError(problems);
}

/** Values are numbers, texts, and lists of texts. */
function isSame(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

function isSecret(key: string): boolean {
  return key === 'identity';
}

function settingsIn({
  journal,
  limits,
  archive,
}: SiteConfiguration): (readonly [section: keyof StoreSettings, key: string, value: unknown])[] {
  const { pendingBytes, frameBytes, changeSetBytes, listenerBatches } = limits;
  const ofStore: Record<keyof StoreLimitSettings, unknown> = { pendingBytes, frameBytes, changeSetBytes, listenerBatches };
  return [
    ...Object.entries(journal).map(([key, value]) => ['journal', key, value] as const),
    ...Object.entries(archive).map(([key, value]) => ['archive', key, value] as const),
    ...Object.entries(ofStore).flatMap(([key, value]) => (value === undefined ? [] : [['limits', key, value] as const])),
  ];
}
