import { formatAddress, isLoopback } from '@evertree/core';
import type { z } from 'zod';
import { optional } from '../optional.ts';
import { resolveArchive } from './archive-resolution.ts';
import { fileKey, inCamelCase } from './camel-case.ts';
import {
  type Acknowledgement,
  type Connection,
  type FileConfiguration,
  type NettyConsumerConfiguration,
  type NettyProducerConfiguration,
} from './configuration.ts';
import { contradictions } from './contradictions.ts';
import { type Auth, Credentials, type Tls, type TlsEnd } from './credentials.ts';
import type { ConfigurationDocument, KeyPath } from './document.ts';
import type { ConfigurationProblem } from './problem.ts';
import type { AcknowledgementSection, AuthSection, CommonSections, nettyConsumerSchema, nettyProducerSchema } from './sections.ts';

// Makes a configuration of a checked document: fills in defaults and reads the files that are named. Values that the
// schema found wrong are missing (see checkSchema). Then the result is not used, but the problems found here are
// reported.

const DEFAULT_RETRY_INTERVAL_MS = 1_000;
const DEFAULT_LISTENING_ADDRESS = '127.0.0.1';
const DEFAULT_ACKNOWLEDGEMENT_TIMEOUT_MS = 5_000;

export function resolveNettyProducer(
  document: ConfigurationDocument,
  value: z.infer<typeof nettyProducerSchema>,
  problems: ConfigurationProblem[],
): NettyProducerConfiguration {
  const credentials = new Credentials(document, problems);
  const section = value['netty-connection'];
  const isArray = Array.isArray(section);
  const shared = { auth: credentials.auth(value.auth, ['auth']), tls: credentials.tls(value.tls, ['tls'], 'dials') };
  const connections = (isArray ? section : [section]).map((entry, index): Connection => {
    const place = isArray ? ['netty-connection', index] : ['netty-connection'];
    const auth = credentials.auth(entry.auth, [...place, 'auth']) ?? shared.auth;
    checkReplicates(document, [...place, 'auth'], entry.auth, problems);
    return {
      address: entry['consumer-address'],
      port: entry['consumer-port'],
      retryIntervalMs: entry['connection-retry-interval-ms'] ?? DEFAULT_RETRY_INTERVAL_MS,
      ...optional('tls', credentials.tls(entry.tls, [...place, 'tls'], 'dials') ?? shared.tls),
      ...(auth === undefined ? {} : optional('token', shownToken(auth))),
    };
  });
  if ((isArray ? section : [section]).some(entry => entry.auth === undefined)) checkReplicates(document, ['auth'], value.auth, problems);
  checkTwice(document, connections, problems);
  return {
    kind: 'netty-producer',
    ...resolveSite(document, value, 'dials', shared, credentials),
    connections,
    acknowledgement: resolveAcknowledgement(value.acknowledgement),
  };
}

export function resolveNettyConsumer(
  document: ConfigurationDocument,
  value: z.infer<typeof nettyConsumerSchema>,
  problems: ConfigurationProblem[],
): NettyConsumerConfiguration {
  const credentials = new Credentials(document, problems);
  const section = value['netty-consumer'];
  const place = ['netty-consumer'];
  const shared = { auth: credentials.auth(value.auth, ['auth']), tls: credentials.tls(value.tls, ['tls'], 'listens') };
  const auth = credentials.auth(section.auth, [...place, 'auth']) ?? shared.auth;
  if (section.auth === undefined) checkReplicates(document, ['auth'], value.auth, problems);
  else checkReplicates(document, [...place, 'auth'], section.auth, problems);
  const tls = credentials.tls(section.tls, [...place, 'tls'], 'listens') ?? shared.tls;
  const address = section['listening-address'] ?? DEFAULT_LISTENING_ADDRESS;
  if (!isLoopback(address)) {
    const at = [...place, 'listening-address'];
    const opens = `is ${document.quote(at)}, which others can reach`;
    if (section.auth === undefined && value.auth === undefined) {
      problems.push(document.problem(at, `${opens}; add "auth": { "token-file": "…" }, with the same token at the primary`));
    }
    if (section.tls === undefined && value.tls === undefined) {
      problems.push(
        document.problem(at, `${opens}; add "tls": { "certificate": "…", "key": "…" }, or "tls": "off" if the line is safe without`),
      );
    }
  }
  return {
    kind: 'netty-consumer',
    ...resolveSite(document, value, 'listens', { auth, tls }, credentials),
    address,
    port: section['listening-port'],
    autoRestart: section['enable-server-auto-restart'] ?? false,
    ...optional('tls', tls),
    ...auth,
  };
}

/** What a primary shows: the token that has all rights, or else the first that may replicate. */
function shownToken({ token, tokens = [] }: Auth): string | undefined {
  return token ?? tokens.find(({ rights }) => rights.includes('replicate'))?.secret;
}

/** On the wire only a token with the right `replicate` is of use. */
function checkReplicates(document: ConfigurationDocument, place: KeyPath, section: AuthSection, problems: ConfigurationProblem[]): void {
  if (section?.tokens === undefined || section['token-file'] !== undefined) return;
  // The schema has reported an entry without rights.
  if (section.tokens.some(entry => (entry as Partial<typeof entry>).rights?.includes('replicate') !== false)) return;
  const remedy = 'give one of them that right, or add a "token-file", which has all rights';
  problems.push(document.problem([...place, 'tokens'], `has no token with the right "replicate", which the wire asks for; ${remedy}`));
}

function checkTwice(document: ConfigurationDocument, connections: readonly Connection[], problems: ConfigurationProblem[]): void {
  const seen = new Map<string, number>();
  connections.forEach((connection, index) => {
    const { address, port } = connection as Partial<Connection>;
    // The schema has reported an address or a port that is missing or wrong.
    if (address === undefined || port === undefined) return;
    const name = formatAddress(address, port).toLowerCase();
    const first = seen.get(name);
    if (first === undefined) seen.set(name, index);
    else problems.push(document.problem(['netty-connection', index], `names ${name} again, as entry ${first} does; keep one of them`));
  });
}

export function resolveAcknowledgement(section: AcknowledgementSection): Acknowledgement | undefined {
  if (section === undefined) return undefined;
  return {
    secondaries: section.secondaries,
    timeoutMs: section['timeout-ms'] ?? DEFAULT_ACKNOWLEDGEMENT_TIMEOUT_MS,
    onTimeout: section['on-timeout'] ?? 'fail',
  };
}

export function resolveSite(
  document: ConfigurationDocument,
  value: CommonSections,
  end: TlsEnd,
  shared: { readonly auth: Auth | undefined; readonly tls: Tls | undefined },
  credentials: Credentials,
): FileConfiguration {
  const ownTls = credentials.tls(value.http?.tls, ['http', 'tls'], 'listens');
  // A site that dials may have no certificate; HTTP then needs one of its own.
  const usable = end === 'listens' || shared.tls === 'off' || shared.tls?.certificate !== undefined;
  const notes: string[] = [];
  const { problems, warnings } = credentials;
  const archive = resolveArchive(document, value.archive, { problems, warnings, notes, spell: key => key });
  const sections = { archive, limits: inCamelCase(value.limits), journal: inCamelCase(value.journal) };
  warnings.push(...contradictions(document, sections, fileKey));
  return {
    source: document.source,
    document,
    ...sections,
    http: {
      ...(credentials.auth(value.http?.auth, ['http', 'auth']) ?? shared.auth),
      ...optional('tls', ownTls ?? (usable ? shared.tls : undefined)),
      tlsOnLoopback: ownTls !== undefined && ownTls !== 'off',
      ...optional('advertised', advertisedOf(value)),
    },
    notes,
    warnings,
  };
}

/** The origin alone: `HTTP://Box-A:80/` is `http://box-a`. */
function advertisedOf({ 'advertised-http': address }: CommonSections): string | undefined {
  // The schema has reported an address that is none.
  return address === undefined ? undefined : URL.parse(address)?.origin;
}
