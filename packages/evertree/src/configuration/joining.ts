import { formatAddress, isLoopback } from '@evertree/core';
import { optional } from '../optional.ts';
import { fileKey } from './camel-case.ts';
import type {
  ConsumerConfiguration,
  KafkaProducerConfiguration,
  NettyProducerConfiguration,
  PrimaryConfiguration,
  ProducerConfiguration,
  SiteConfiguration,
} from './configuration.ts';
import type { Auth } from './credentials.ts';
import { type ConfigurationProblem, configurationError } from './problem.ts';

/*
 * Makes one primary of several files: it feeds the secondaries of all of them. A setting that concerns the whole site
 * may stand in any file; if it stands in several, they have to agree.
 */

/** What concerns the whole site, whatever its role. */
export type SiteSections = Pick<SiteConfiguration, 'limits' | 'journal' | 'archive' | 'http'>;

/** Sections whose keys may stand in different files. */
const SHARED = ['limits', 'journal', 'archive', 'http'] as const;

/** @throws EvertreeError CONFIGURATION_INVALID naming both files and the key of whatever differs */
export function joinProducers(wires: readonly ProducerConfiguration[]): PrimaryConfiguration {
  if (wires.length === 0)
    throw configurationError([{ source: 'configuration', key: '', message: 'is an empty list; name one file at least' }]);
  const joining = new Joining();
  const names = numbered(wires);
  wires.forEach((wire, index) => {
    const name = names[index] ?? wire.source;
    joining.take(wire, name);
    joining.takeAcknowledgement(wire, name);
  });
  checkTwice(wires, names, joining.problems);
  if (joining.problems.length > 0) throw configurationError(joining.problems);
  const { sections, acknowledgement } = joining;
  const lack = lackOfSecondaries(wires, acknowledgement);
  const notes = messagesOf('notes', wires, names);
  return {
    kind: 'primary',
    source: names.join(', '),
    wires,
    ...sections,
    acknowledgement,
    notes,
    warnings: [...messagesOf('warnings', wires, names), ...(lack === undefined ? [] : [lack])],
  };
}

/** Why writes wait in vain; undefined if enough secondaries are named, or any number may read a topic. */
export function lackOfSecondaries(
  wires: readonly ProducerConfiguration[],
  acknowledgement: PrimaryConfiguration['acknowledgement'],
): string | undefined {
  const { secondaries = 0 } = acknowledgement ?? {};
  let named = 0;
  for (const wire of wires) {
    if (wire.kind !== 'netty-producer') return undefined;
    named += wire.connections.length;
  }
  if (secondaries <= named) return undefined;
  const there = `${named} secondar${named === 1 ? 'y is' : 'ies are'} named`;
  return (
    `acknowledgement.secondaries is ${secondaries}, and ${there} in "netty-connection": each write over HTTP waits for ` +
    '"timeout-ms" in vain; name more secondaries, or wait for fewer'
  );
}

/**
 * What the configurations of a site for its two roles say together of the site itself: HTTP, limits, journal, archive.
 * @throws EvertreeError CONFIGURATION_INVALID naming both files and the key of whatever differs
 */
export function joinRoles(configurations: readonly SiteConfiguration[]): SiteSections {
  const joining = new Joining();
  for (const configuration of configurations) joining.take(configuration, configuration.source);
  if (joining.problems.length > 0) throw configurationError(joining.problems);
  return joining.sections;
}

/**
 * Refuses a primary that would dial its own port: each direction between two sites has a port of its own.
 * @throws EvertreeError CONFIGURATION_INVALID naming both files
 */
export function checkOwnPort(primary: PrimaryConfiguration, standby: ConsumerConfiguration): void {
  if (standby.kind !== 'netty-consumer' || !isLoopback(standby.address)) return;
  const problems = primary.wires.flatMap((wire): ConfigurationProblem[] => {
    if (wire.kind !== 'netty-producer') return [];
    const own = wire.connections.find(({ address, port }) => isLoopback(address) && port === standby.port);
    if (own === undefined) return [];
    const message = `names ${formatAddress(own.address, own.port)}, where this site itself listens (${standby.source}); name the port of the other site`;
    return [{ source: wire.source, key: 'netty-connection', message }];
  });
  if (problems.length > 0) throw configurationError(problems);
}

/** The messages of all files, each with its file's name if there are several. */
function messagesOf(kind: 'notes' | 'warnings', wires: readonly ProducerConfiguration[], names: readonly string[]): string[] {
  return wires.flatMap((wire, index) => wire[kind].map(message => (wires.length === 1 ? message : `${names[index]}: ${message}`)));
}

/** The names of the sources. Objects given in code are all called `configuration`, so they get numbers. */
function numbered(wires: readonly ProducerConfiguration[]): string[] {
  return wires.map(({ source }, index) => (wires.filter(wire => wire.source === source).length > 1 ? `${source} ${index + 1}` : source));
}

class Joining {
  readonly problems: ConfigurationProblem[] = [];
  readonly sections: SiteSections = { limits: {}, journal: {}, archive: {}, http: { tlsOnLoopback: false } };
  acknowledgement: PrimaryConfiguration['acknowledgement'];
  /** The file that first gave a value, by key. */
  readonly #origins = new Map<string, string>();

  take(configuration: SiteConfiguration, source: string): void {
    for (const section of SHARED) {
      const joined = this.sections[section] as Record<string, unknown>;
      for (const [key, value] of Object.entries(configuration[section])) {
        // Both come of "auth", which is one thing.
        if (key === 'token' || key === 'tokens') continue;
        // No file has this key: it follows from "http.tls".
        if (key === 'tlsOnLoopback') joined[key] = joined[key] === true || value === true;
        else if (this.#agrees(keyOf(section, key), joined[key], value, source)) joined[key] = value;
      }
    }
    this.#takeAuth(configuration, source);
  }

  #takeAuth({ http }: SiteConfiguration, source: string): void {
    const given = authOf(http);
    if (Object.keys(given).length === 0 || !this.#agrees('http.auth', authOf(this.sections.http), given, source)) return;
    Object.assign(this.sections.http, given);
  }

  takeAcknowledgement({ acknowledgement }: ProducerConfiguration, source: string): void {
    if (acknowledgement === undefined) return;
    if (this.#agrees('acknowledgement', this.acknowledgement, acknowledgement, source)) this.acknowledgement = acknowledgement;
  }

  #agrees(key: string, present: unknown, value: unknown, source: string): boolean {
    const origin = this.#origins.get(key);
    if (origin === undefined) {
      this.#origins.set(key, source);
      return true;
    }
    if (JSON.stringify(present) === JSON.stringify(value)) return true;
    // Secrets and certificates are not repeated.
    const isHttp = key.startsWith('http.');
    const isSecret = isHttp || key === 'archive.identity-file';
    const values = isSecret ? '' : ` (${JSON.stringify(value)}, and there ${JSON.stringify(present)})`;
    const more = isHttp ? '; without a section "http", HTTP takes them from "auth" and "tls", so give all files the same "http"' : '';
    const message = `differs from that in ${origin}${values}; it concerns the whole site: keep one, or let them agree${more}`;
    this.problems.push({ source, key, message });
    return false;
  }
}

/** Refuses two connections to one secondary, and two writers of one topic. */
function checkTwice(wires: readonly ProducerConfiguration[], names: readonly string[], problems: ConfigurationProblem[]): void {
  const seen = new Map<string, string>();
  wires.forEach((wire, index) => {
    const source = names[index] ?? wire.source;
    const places = wire.kind === 'netty-producer' ? addressesOf(wire) : topicsOf(wire);
    for (const place of new Set(places)) {
      const first = seen.get(place);
      if (first === undefined) seen.set(place, source);
      else {
        const key = wire.kind === 'netty-producer' ? 'netty-connection' : 'kafka-messaging.topic';
        problems.push({ source, key, message: `names ${place} again, as ${first} does; keep one of them` });
        return;
      }
    }
  });
}

function addressesOf({ connections }: NettyProducerConfiguration): string[] {
  return connections.map(({ address, port }) => formatAddress(address, port).toLowerCase());
}

function topicsOf({ connection, topic }: KafkaProducerConfiguration): string[] {
  return connection.brokers.map(broker => `the topic ${topic} at ${broker.toLowerCase()}`);
}

function authOf({ token, tokens }: Auth): Auth {
  return { ...optional('token', token), ...optional('tokens', tokens) };
}

/** The key as it stands in a file. */
function keyOf(section: (typeof SHARED)[number], key: string): string {
  if (section !== 'http') return `${section}.${fileKey(section, key)}`;
  return key === 'advertised' ? 'advertised-http' : `http.${key}`;
}
