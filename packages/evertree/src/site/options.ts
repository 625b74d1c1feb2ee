import type { Reporter, Role } from '@evertree/core';
import { z } from 'zod';
import { resolveArchive } from '../configuration/archive-resolution.ts';
import { type ArchiveSection, archiveFields } from '../configuration/archive-section.ts';
import { type InCamelCase, camelCase, inCamelCase } from '../configuration/camel-case.ts';
import { checkSchema } from '../configuration/check.ts';
import { type ArchiveConfiguration, freeze } from '../configuration/configuration.ts';
import { contradictions } from '../configuration/contradictions.ts';
import { type ConfigurationDocument, documentOf } from '../configuration/document.ts';
import { choice, section, text } from '../configuration/fields.ts';
import { type ConfigurationProblem, configurationError } from '../configuration/problem.ts';
import { type ConsumerFile, type ProducerFile, journalFields, storeLimitFields } from '../configuration/sections.ts';
import { optional } from '../optional.ts';
import type { JournalSettings, StoreLimitSettings, StoreSettings } from './settings.ts';

/** A primary's file, such as `configs/nettyProducer.json`, or the same as an object. */
export type ProducerSource = string | ProducerFile;

/** A secondary's file, such as `configs/nettyConsumer.json`, or the same as an object. */
export type ConsumerSource = string | ConsumerFile;

/** The `archive` section of a configuration, as code writes it. */
export type ArchiveOptions = InCamelCase<ArchiveSection>;

/** Of either role. */
export type ConfigurationSource = ProducerSource | ConsumerSource;

export interface OpenStoreOptions {
  /** A directory, made if there is none; or `memory`: nothing outlives the process, and nothing counts as durable. */
  readonly data: string;
  /** The site's name, which its peers see. A directory keeps the name of its first start; another one is refused. */
  readonly site?: string;
  /** The name of a new directory where `site` is not given. Without either a name is drawn. */
  readonly defaultSite?: string;
  /** A directory keeps the role of its first start; another one is refused. A new directory is a primary's. */
  readonly role?: Role;
  /** How a primary writes its frames; `json` lets other tools read them, at some cost. */
  readonly encoding?: 'binary' | 'json';
  /** As in a configuration's `journal` section. */
  readonly journal?: JournalSettings;
  /** As in a configuration's `limits` section; what concerns the store. */
  readonly limits?: StoreLimitSettings;
  /** As in a configuration's `archive` section, with times as texts: `{ target: './archive', every: '1s' }`. */
  readonly archive?: ArchiveOptions;
  /**
   * Gets a report of what happens, such as a damaged tail that was cut off. Without it there are no reports. Only the
   * first listener that throws while nobody listens for the store's `error` event is printed, as a process warning.
   */
  readonly log?: Reporter;
}

export interface OpenSiteOptions extends OpenStoreOptions {
  /**
   * What the site needs as a primary: several files are several ways to secondaries. Without `standby` it means the
   * role `primary`.
   */
  readonly primary?: ProducerSource | readonly ProducerSource[];
  /** What it needs as a secondary. Without `primary` it means the role `secondary`. */
  readonly standby?: ConsumerSource;
  /**
   * Makes a secondary's directory a primary's: the site begins an epoch of its own. Commits that only its old primary
   * has are left behind; stop that one, or let it hand over, before.
   */
  readonly promote?: boolean;
}

/** How a site's store is opened, after the check. */
export interface CheckedOptions extends StoreSettings {
  /** Undefined: the history is in memory. */
  readonly directory: string | undefined;
  readonly site: string | undefined;
  readonly defaultSite: string | undefined;
  readonly role: Role | undefined;
  /** Whether a directory of the other role changes it: a secondary's is promoted, a primary's follows. */
  readonly changesRole: boolean;
  readonly report: Reporter;
}

const name = text("the site's name", /^[^\p{Cc}]{1,255}$/u).optional();

const storeOptions = {
  data: text('a directory, or "memory"', /\S/),
  site: name,
  defaultSite: name,
  role: choice(['primary', 'secondary']).optional(),
  encoding: choice(['binary', 'json']).optional(),
  journal: section(inCamelCase(journalFields) as z.ZodRawShape).optional(),
  limits: section(inCamelCase(storeLimitFields) as z.ZodRawShape).optional(),
  archive: section(inCamelCase(archiveFields) as z.ZodRawShape, 'an object with "target" or "catchUpFrom"').optional(),
  // A function is no JSON: it is checked apart.
  log: z.unknown().optional(),
};
const AN_OBJECT = 'an object with "data"';

const SCHEMAS = {
  openStore: section(storeOptions, AN_OBJECT),
  // Configurations are read as files are, with errors of their own.
  openSite: section(
    { ...storeOptions, primary: z.unknown().optional(), standby: z.unknown().optional(), promote: z.boolean().optional() },
    AN_OBJECT,
  ),
};

/**
 * Checks the options of `openStore` or `openSite` as a file is checked, and resolves what they leave open.
 * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong, and the nearest key of each unknown one
 */
export function checkOptions(options: OpenSiteOptions, caller: keyof typeof SCHEMAS): CheckedOptions {
  const document = documentOf(options, caller, AN_OBJECT);
  const problems: ConfigurationProblem[] = [...checkSchema(document, SCHEMAS[caller]).problems];
  const { data, site, defaultSite, role, encoding, journal, limits, log } = options;
  if (log !== undefined && typeof log !== 'function') {
    problems.push(document.problem(['log'], `is ${document.quote(['log'])}; write a function that takes a report`));
  }
  if (encoding !== undefined && journal?.encoding !== undefined && encoding !== journal.encoding) {
    problems.push(document.problem(['encoding'], `is "${encoding}", and journal.encoding is "${journal.encoding}"; keep one of them`));
  }
  const report = log ?? firstThrowPrinted();
  const archive = checkArchive(document, options, problems, report);
  if (problems.length > 0) throw configurationError(problems);
  for (const message of contradictions(document, { archive, limits: { ...limits }, journal: { ...journal } }, codeKey)) {
    report({ level: 'warn', event: 'configuration-warning', message });
  }
  return Object.freeze({
    directory: data === 'memory' ? undefined : data,
    site,
    defaultSite,
    role: options.promote === true ? (role ?? 'primary') : role,
    changesRole: options.promote === true,
    journal: freeze({ ...journal, ...optional('encoding', encoding) }),
    limits: freeze({ ...limits }),
    archive: freeze(archive),
    report,
  });
}

/** An option as code writes it: the times of an archive have their unit in the value. */
function codeKey(of: string, key: string): string {
  return of === 'archive' ? key.replace(/Ms$/, '') : key;
}

/** The archive of the options; notes and warnings of it are reported. */
function checkArchive(
  document: ConfigurationDocument,
  { archive }: OpenStoreOptions,
  problems: ConfigurationProblem[],
  report: Reporter,
): ArchiveConfiguration {
  // The schema has reported values that are wrong; what can be wrong between them is looked for once they are right.
  if (archive === undefined || problems.length > 0) return {};
  const value = Object.fromEntries(Object.keys(archiveFields).map(key => [key, archive[camelCase(key) as keyof ArchiveOptions]]));
  const warnings: string[] = [];
  const notes: string[] = [];
  const resolved = resolveArchive(document, value, { problems, warnings, notes, spell: camelCase });
  if (problems.length === 0) {
    for (const message of warnings) report({ level: 'warn', event: 'configuration-warning', message });
    for (const message of notes) report({ level: 'info', event: 'configuration-note', message });
  }
  return resolved;
}

/** For a store without a log: a listener that throws is not to fail in silence. */
function firstThrowPrinted(): Reporter {
  let isPrinted = false;
  return ({ event, message, details }) => {
    if (isPrinted || event !== 'listener-threw' || details?.['heard'] === true) return;
    isPrinted = true;
    const error = details?.['error'];
    process.emitWarning(`${message} (printed once; to get each of them, listen for "error" or give a log)`, {
      type: 'EvertreeWarning',
      code: 'EVERTREE_LISTENER_THREW',
      ...(error instanceof Error && error.stack !== undefined ? { detail: error.stack } : {}),
    });
  };
}
