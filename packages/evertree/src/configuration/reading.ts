import { type Role, isEvertreeError } from '@evertree/core';
import { z } from 'zod';
import { nearest } from '../json/schema-keys.ts';
import { kebab } from './camel-case.ts';
import { checkSchema } from './check.ts';
import { freeze, roleOf } from './configuration.ts';
import type { Configuration, ConsumerConfiguration, Kind, PrimaryConfiguration, ProducerConfiguration } from './configuration.ts';
import { type ConfigurationDocument, documentOf, readDocument } from './document.ts';
import { joinProducers } from './joining.ts';
import { checkKafkaProperties } from './kafka-properties.ts';
import { type ConfigurationProblem, configurationError, problemsOf } from './problem.ts';
import { resolveKafkaConsumer, resolveKafkaProducer } from './kafka-resolution.ts';
import { resolveNettyConsumer, resolveNettyProducer } from './resolution.ts';
import { commonSchema, kafkaConsumerSchema, kafkaProducerSchema, nettyConsumerSchema, nettyProducerSchema } from './sections.ts';

/** The name of a file, or an object that is to be what may stand in one. */
export type UncheckedSource = string | object;

/** The sections of each kind of file. The last one tells the kind. */
const SECTIONS: Readonly<Record<Kind, readonly string[]>> = {
  'netty-producer': ['netty-connection'],
  'netty-consumer': ['netty-consumer'],
  'kafka-producer': ['kafka-connection', 'kafka-client', 'kafka-messaging', 'kafka-producer-properties'],
  'kafka-consumer': ['kafka-connection', 'kafka-client', 'kafka-messaging', 'kafka-consumer-properties'],
};
const KINDS = Object.keys(SECTIONS) as Kind[];
const EVERY_SECTION = new Set(Object.values(SECTIONS).flat());
/** Names of kinds, which are no sections, and the section that such a name most likely means. */
const MEANT: ReadonlyMap<string, string> = new Map(KINDS.map(kind => [kind, SECTIONS[kind].at(-1)!]));
const EVERY_KEY = new Set([...EVERY_SECTION, ...Object.keys(commonSchema.shape)]);

/** Checks a file whose kind can't be told, and knows the sections that would tell it. */
const anySectionSchema = commonSchema.extend(Object.fromEntries([...EVERY_SECTION].map(name => [name, z.unknown().optional()])));

/**
 * Reads a primary's configuration, or several that together name its secondaries.
 * @throws EvertreeError CONFIGURATION_INVALID with every problem of every file
 */
export function readPrimaryConfiguration(source: UncheckedSource | readonly UncheckedSource[]): PrimaryConfiguration {
  const sources = Array.isArray(source) ? (source as readonly UncheckedSource[]) : [source];
  return freeze(joinProducers(readAll(sources)));
}

/** @throws EvertreeError CONFIGURATION_INVALID with the problems of all files */
function readAll(sources: readonly UncheckedSource[]): ProducerConfiguration[] {
  return collect(sources.map(source => () => readConfiguration(source, 'primary') as ProducerConfiguration));
}

/**
 * Reads several configurations, so that the problems of all are known at once.
 * @throws EvertreeError CONFIGURATION_INVALID with the problems of all
 */
export function collect<T>(readers: readonly (() => T)[]): T[] {
  const problems: ConfigurationProblem[] = [];
  const read = readers.flatMap(reader => {
    try {
      return [reader()];
    } catch (error) {
      if (!isEvertreeError(error, 'CONFIGURATION_INVALID')) throw error;
      problems.push(...problemsOf(error));
      return [];
    }
  });
  if (problems.length > 0) throw configurationError(problems);
  return read;
}

/**
 * Reads a secondary's configuration.
 * @throws EvertreeError CONFIGURATION_INVALID with every problem of the file
 */
export function readConsumerConfiguration(source: UncheckedSource): ConsumerConfiguration {
  return readConfiguration(source, 'secondary') as ConsumerConfiguration;
}

/**
 * Reads a configuration of either role, or of the one that is asked for. Defaults are resolved and the result is
 * frozen.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export function readConfiguration(source: UncheckedSource, role?: Role): Configuration {
  const document = typeof source === 'string' ? readDocument(source) : documentOf(source);
  if (typeof document.value !== 'object' || document.value === null || Array.isArray(document.value)) {
    const message = `is ${document.quote([])}; a configuration is an object with a section such as "netty-connection"`;
    throw configurationError([document.problem([], message)]);
  }
  const problems = document.duplicates();
  const spelled = withRightNames(document, problems);
  problems.push(...checkSections(spelled, role));
  const kind = kindOf(spelled, role);
  if (kind === undefined) problems.push(...checkSchema(spelled, anySectionSchema).problems);
  const resolved = kind === undefined ? undefined : resolve(withoutForeign(spelled, kind), kind, problems);
  if (problems.length > 0 || resolved === undefined) throw configurationError(problems);
  return freeze(resolved);
}

/** Reports misspelt sections and gives each its right name, so that the problems inside it are found as well. */
function withRightNames(document: ConfigurationDocument, problems: ConfigurationProblem[]): ConfigurationDocument {
  const keys = Object.keys(document.value as object);
  const free = new Set([...EVERY_KEY].filter(name => !keys.includes(name)));
  const written = new Map<string, string>();
  for (const key of keys) {
    const near = EVERY_KEY.has(key) ? undefined : (nearest(key, [...free]) ?? MEANT.get(kebab(key)));
    if (near === undefined || !free.has(near)) continue;
    problems.push(document.problem([key], `is not known; did you mean "${near}"?`));
    free.delete(near);
    written.set(near, key);
  }
  return document.withSections(written);
}

/** The sections that the document has, in the order of the file. */
function sectionsOf(document: ConfigurationDocument): string[] {
  return Object.keys(document.value as object).filter(key => EVERY_SECTION.has(key));
}

/** The kind that the file most likely has. If its sections fit both roles, the role that is asked for decides. */
function kindOf(document: ConfigurationDocument, role: Role | undefined): Kind | undefined {
  const present = sectionsOf(document);
  const fits = KINDS.filter(kind => SECTIONS[kind].some(section => present.includes(section)));
  const telling = fits.filter(kind => present.includes(SECTIONS[kind].at(-1) ?? ''));
  const candidates = telling.length > 0 ? telling : fits;
  return candidates.find(kind => role === undefined || roleOf(kind) === role) ?? candidates[0];
}

function checkSections(document: ConfigurationDocument, role: Role | undefined): ConfigurationProblem[] {
  const present = sectionsOf(document);
  const kind = kindOf(document, role);
  const first = present[0];
  if (kind === undefined || first === undefined) {
    const wanted = KINDS.filter(candidate => role === undefined || roleOf(candidate) === role).map(
      candidate => `"${SECTIONS[candidate][0]}"`,
    );
    return [document.problem([], `names no transport; add a section ${[...new Set(wanted)].join(' or ')}`)];
  }
  const problems: ConfigurationProblem[] = [];
  const transport = first.split('-', 1)[0];
  for (const section of present) {
    if (!section.startsWith(`${transport}-`)) {
      problems.push(document.problem([section], `stands beside "${first}": one file is for one transport; keep one of the two`));
    } else if (!SECTIONS[kind].includes(section)) {
      problems.push(
        document.problem([section], `stands in a file for a ${roleOf(kind)}, and is a ${other(roleOf(kind))}'s; make two files`),
      );
    }
  }
  if (role !== undefined && roleOf(kind) !== role && problems.length === 0) {
    const place = SECTIONS[kind].findLast(section => present.includes(section)) ?? first;
    problems.push(
      document.problem(
        [place],
        `configures a ${other(role)}, and this site is to be a ${role}; give it a file with ${sampleFor(role, kind)}`,
      ),
    );
  }
  return problems;
}

function sampleFor(role: Role, kind: Kind): string {
  if (kind.startsWith('kafka')) return role === 'primary' ? '"kafka-producer-properties"' : '"kafka-consumer-properties"';
  return role === 'primary' ? '"netty-connection", as configs/nettyProducer.json' : '"netty-consumer", as configs/nettyConsumer.json';
}

function other(role: Role): Role {
  return role === 'primary' ? 'secondary' : 'primary';
}

/** The document without the sections that `checkSections` has reported. */
function withoutForeign(document: ConfigurationDocument, kind: Kind): ConfigurationDocument {
  const own = Object.entries(document.value as object).filter(([key]) => !EVERY_SECTION.has(key) || SECTIONS[kind].includes(key));
  return document.withValue(Object.fromEntries(own));
}

function resolve(document: ConfigurationDocument, kind: Kind, problems: ConfigurationProblem[]): Configuration {
  if (kind === 'netty-producer') return check(document, nettyProducerSchema, problems, resolveNettyProducer);
  if (kind === 'netty-consumer') return check(document, nettyConsumerSchema, problems, resolveNettyConsumer);
  const side = kind === 'kafka-producer' ? 'producer' : 'consumer';
  problems.push(...checkKafkaProperties(document, side));
  return side === 'producer'
    ? check(document, kafkaProducerSchema, problems, resolveKafkaProducer)
    : check(document, kafkaConsumerSchema, problems, resolveKafkaConsumer);
}

function check<T, C extends Configuration>(
  document: ConfigurationDocument,
  schema: z.ZodType<T>,
  problems: ConfigurationProblem[],
  resolveValue: (document: ConfigurationDocument, value: T, problems: ConfigurationProblem[]) => C,
): C {
  const checked = checkSchema(document, schema);
  problems.push(...checked.problems);
  return resolveValue(document, checked.value, problems);
}
