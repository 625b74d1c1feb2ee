import type { ArchiveConfiguration, SiteConfiguration } from './configuration.ts';
import type { ConfigurationDocument } from './document.ts';

/** The sections whose settings concern each other. */
export interface SettingSections {
  readonly limits: Partial<SiteConfiguration['limits']>;
  readonly journal: SiteConfiguration['journal'];
  readonly archive: ArchiveConfiguration;
}

type Section = keyof SettingSections;

/** A setting, by its section and the key of its configuration. */
type Setting = readonly [section: Section, key: string];

/** Two settings that are right each by itself. Where the first exceeds the second, one of them has not the effect that it names. */
interface SettingPair {
  readonly first: Setting;
  readonly second: Setting;
  readonly effect: string;
}

const LONGER = 'history is kept for the longer of the two';

const PAIRS: readonly SettingPair[] = [
  {
    first: ['archive', 'spoolMaxBytes'],
    second: ['journal', 'retentionMaxBytes'],
    effect: 'no more history than that waits for a target that is away, so the archive gets a gap sooner',
  },
  {
    first: ['journal', 'retentionMinBytes'],
    second: ['journal', 'retentionMaxBytes'],
    effect: 'no more history than that is kept',
  },
  {
    first: ['journal', 'snapshotBytes'],
    second: ['journal', 'retentionMaxBytes'],
    effect: 'history goes only after a snapshot, so the journal grows beyond its limit',
  },
  {
    first: ['journal', 'segmentBytes'],
    second: ['journal', 'retentionMaxBytes'],
    effect: 'history goes in whole segments, so the journal grows beyond its limit',
  },
  { first: ['journal', 'retentionMinMs'], second: ['journal', 'retentionMaxMs'], effect: LONGER },
  { first: ['journal', 'retentionRewindMs'], second: ['journal', 'retentionMaxMs'], effect: LONGER },
  {
    first: ['limits', 'frameBytes'],
    second: ['limits', 'pendingBytes'],
    effect: 'each full frame is written and synced inside a commit, which waits for the disk',
  },
  {
    first: ['archive', 'everyMs'],
    second: ['archive', 'imageEveryMs'],
    effect: 'images come no more often than the archive is written',
  },
];

/** Of either limit 0 means that only what somebody needs is kept, so that the other one has nothing to limit. */
const EITHER: readonly (readonly [Setting, Setting])[] = [
  [
    ['journal', 'retentionMaxMs'],
    ['journal', 'retentionMaxCommits'],
  ],
  [
    ['journal', 'retentionMaxCommits'],
    ['journal', 'retentionMaxMs'],
  ],
];

/**
 * Finds settings that contradict each other although each is right by itself: a warning for each pair, with place, values
 * and remedy.
 * @param spell a key as the document writes it
 */
export function contradictions(
  document: ConfigurationDocument,
  sections: SettingSections,
  spell: (section: Section, key: string) => string,
): string[] {
  const valueOf = ([section, key]: Setting) => (sections[section] as Readonly<Record<string, number | undefined>>)[key];
  const told = ([section, key]: Setting) => {
    const written = spell(section, key);
    return `${section}.${written} is ${document.quote([section, written])}`;
  };
  const warnings: string[] = [];
  for (const { first, second, effect } of PAIRS) {
    const [is, bound] = [valueOf(first), valueOf(second)];
    // A limit of 0 is another thing: only what somebody needs is kept.
    if (is === undefined || bound === undefined || bound === 0 || is <= bound) continue;
    warnings.push(`${told(first)}, and ${told(second)}: ${effect}; lower the first, or raise the second`);
  }
  for (const [none, other] of EITHER) {
    if (valueOf(none) !== 0 || (valueOf(other) ?? 0) === 0) continue;
    warnings.push(
      `${told(none)}, so that only what somebody needs is kept, and ${told(other)}, which has no effect then; remove one of them`,
    );
  }
  return warnings;
}
