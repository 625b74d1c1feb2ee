import { isEvertreeError } from '@evertree/core';
import pico from 'picocolors';
import { type ArchiveConfiguration, type Configuration, roleOf } from '../configuration/configuration.ts';
import { lackOfSecondaries } from '../configuration/joining.ts';
import { type ConfigurationProblem, formatProblem, problemsOf } from '../configuration/problem.ts';
import { readConfiguration } from '../configuration/reading.ts';
import { optional } from '../optional.ts';
import { DONE, type ExitStatus, FAILED, WRONG_USAGE } from './exit-status.ts';
import { type Finding, findingText } from './finding.ts';

/** What `check-config` found out about a file. */
export interface FileReport {
  readonly file: string;
  readonly kind: string | null;
  readonly problems: readonly ConfigurationProblem[];
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** Where the site keeps its history elsewhere, and where it takes from what it lacks; present if the file says so. */
  readonly archive?: ArchiveSummary;
  /** What was found at the far end; present when that was asked for and the file is right. */
  readonly findings?: readonly Finding[];
}

/** What a file says of an archive, without keys. */
interface ArchiveSummary {
  readonly target?: string;
  readonly catchUpFrom?: string;
  readonly recipients: number;
}

/**
 * Reads a file as a site would, with the files that it names.
 * @param connectMs how long the far end may take to answer; it is not asked without
 */
export async function checkFile(file: string, connectMs?: number): Promise<FileReport> {
  let configuration: Configuration;
  try {
    configuration = readConfiguration(file);
  } catch (error) {
    if (isEvertreeError(error, 'CONFIGURATION_INVALID')) return { file, kind: null, problems: problemsOf(error), notes: [], warnings: [] };
    throw error;
  }
  const { kind, notes } = configuration;
  const lack = 'acknowledgement' in configuration ? lackOfSecondaries([configuration], configuration.acknowledgement) : undefined;
  const warnings = [...configuration.warnings, ...(lack === undefined ? [] : [`${lack}, unless another file of this primary names them`])];
  return {
    file,
    kind,
    problems: [],
    notes,
    warnings,
    ...optional('archive', summaryOf(configuration.archive)),
    ...(connectMs === undefined ? {} : { findings: await findingsOf(configuration, connectMs) }),
  };
}

function summaryOf({ target, catchUpFrom, recipients = [] }: ArchiveConfiguration): ArchiveSummary | undefined {
  if (target === undefined && catchUpFrom === undefined) return undefined;
  return { ...optional('target', target), ...optional('catchUpFrom', catchUpFrom), recipients: recipients.length };
}

async function findingsOf(configuration: Configuration, connectMs: number): Promise<Finding[]> {
  return [...(await farEndsOf(configuration, connectMs)), ...(await archivesOf(configuration))];
}

async function archivesOf({ archive }: Configuration): Promise<Finding[]> {
  if (archive.target === undefined && archive.catchUpFrom === undefined) return [];
  const { checkArchives } = await import('./archive-check.ts');
  return checkArchives(archive);
}

async function farEndsOf(configuration: Configuration, connectMs: number): Promise<Finding[]> {
  if (configuration.kind === 'kafka-producer' || configuration.kind === 'kafka-consumer') {
    const { checkBrokers } = await import('./kafka-check.ts');
    return checkBrokers(configuration);
  }
  const { checkConsumers } = await import('./netty-check.ts');
  return checkConsumers(configuration, connectMs);
}

export function checkedText({ file, kind, problems, notes, warnings, archive, findings = [] }: FileReport): string {
  if (problems.length > 0) return problems.map(problem => pico.red(formatProblem(problem))).join('\n');
  const role = roleOf(kind as Parameters<typeof roleOf>[0]);
  const transport = kind?.startsWith('kafka') ? 'Kafka' : 'WebSocket';
  return [
    `${file}: ${pico.green('right')}, for a ${role} over ${transport}`,
    ...archiveLines(archive).map(line => `${file}: ${line}`),
    ...warnings.map(message => `${file}: ${pico.yellow('warning')}: ${message}`),
    ...notes.map(note => `${file}: note: ${note}`),
    ...findings.map(finding => findingText(file, finding)),
  ].join('\n');
}

function archiveLines(archive: ArchiveSummary | undefined): string[] {
  if (archive === undefined) return [];
  const { target, catchUpFrom, recipients } = archive;
  const encryption = recipients === 0 ? 'not encrypted' : `encrypted for ${recipients} recipient${recipients === 1 ? '' : 's'}`;
  return [
    ...(target === undefined ? [] : [`archives into ${target}, ${encryption}`]),
    ...(catchUpFrom === undefined ? [] : [`catches up from ${catchUpFrom}`]),
  ];
}

/** 2 when a site would not start or not work with one of the files; 1 when a far end could not be asked. */
export function statusOf(results: readonly FileReport[]): ExitStatus {
  const levels = new Set(results.flatMap(({ findings = [] }) => findings.map(({ level }) => level)));
  if (levels.has('refused') || results.some(({ problems }) => problems.length > 0)) return WRONG_USAGE;
  return levels.has('failed') ? FAILED : DONE;
}
