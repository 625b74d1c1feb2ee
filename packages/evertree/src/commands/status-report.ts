import type { Position, Role } from '@evertree/core';
import { formatPosition } from '@evertree/core';
import pico from 'picocolors';
import { type ArchiveView, archiveLines, archiveWord } from './archive-report.ts';
import { type CatchUpsView, catchUpLines } from './catch-up-report.ts';
import type { DivergenceState } from '../divergences/divergence-state.ts';
import { formatBytes, formatCount, formatDuration } from './units.ts';

/** What `GET /status` answers. */
export interface SiteStatus {
  readonly site: string;
  readonly role: Role;
  readonly state: string;
  readonly reason?: string | null;
  readonly stream: string | null;
  readonly position: Position;
  readonly digest: string;
  readonly durable: Position;
  readonly peers: readonly PeerView[];
  /** Present when the history has a limit. */
  readonly retention?: { readonly maxBytes: number; readonly atRisk: readonly string[]; readonly passed: readonly string[] };
  readonly history?: {
    /** The oldest state that can be read. */
    readonly from: { readonly position: Position; readonly time: number | null };
    readonly bytes: number;
    readonly maxBytes: number | null;
    readonly fullInMs: number | null;
    readonly held: readonly { readonly kind: string; readonly name: string; readonly position: Position; readonly bytes: number }[];
  };
  readonly standing?: string;
  /** The change of roles that is under way. */
  readonly switch?: SwitchView | null;
  readonly epochs?: readonly EpochView[];
  /** The highest epoch of another site that fences this one, or that it promised to. */
  readonly fencedBy?: { readonly number: number; readonly id: string; readonly begun: boolean } | null;
  /** A site that was promoted independently: two primaries were heard of. */
  readonly rival?: {
    readonly site?: string;
    readonly epoch: { readonly number: number; readonly id: string };
    readonly wins: boolean;
  } | null;
  /** Null where the site has none. */
  readonly archive?: ArchiveView | null;
  readonly divergences?: readonly {
    readonly name: string;
    readonly commits: number;
    readonly keptAt: number;
    readonly state?: DivergenceState;
  }[];
  /** Present at a secondary. */
  readonly consumer?: ConsumerView;
}

interface SwitchView {
  readonly kind: string;
  readonly step: string;
  readonly from?: string;
  readonly to: string;
  readonly since: number;
}

interface EpochView {
  readonly number: number;
  readonly id: string;
  readonly site: string;
  readonly base: Position;
  readonly reason: string;
  readonly time: number;
  readonly end?: { readonly to: string; readonly command: string };
}

interface ConsumerView {
  readonly state: string;
  readonly primary: { readonly site: string; readonly remote: string; readonly address?: string } | null;
  readonly lag: { readonly revisions: number; readonly ms: number | null } | null;
  /** Null where its file names no archive to catch up from. */
  readonly catchUps?: CatchUpsView | null;
}

interface PeerView {
  readonly site: string;
  /** Whether this is a log that secondaries read, instead of a secondary. */
  readonly relay: boolean;
  /** The log that it reads from; null when it is linked directly. */
  readonly through: string | null;
  readonly state: string;
  readonly since: number;
  readonly position: Position | null;
  readonly lagRevisions: number | null;
  readonly lagMs: number | null;
  readonly sentBytes: number | null;
  readonly lastSeen: number | null;
  readonly caughtUpInMs: number | null;
  readonly lastError: string | null;
}

const STATE_COLOURS: Readonly<Record<string, (text: string) => string>> = {
  open: pico.green,
  replicate: pico.green,
  replicating: pico.green,
  listening: pico.yellow,
  'catching-up': pico.yellow,
  probe: pico.yellow,
  snapshot: pico.yellow,
  rewinding: pico.yellow,
  offline: pico.red,
};

/**
 * The lines that `status` prints.
 * @param url of the site, for commands that are named
 */
export function statusLines(status: SiteStatus, url: string): string[] {
  const lines = [
    `${pico.bold(status.site)}  ${status.role}  ${coloured(status.state)}${status.reason ? `  ${status.reason}` : ''}`,
    `  stream    ${status.stream ?? 'none yet: nothing was ever committed'}`,
    `  position  ${formatPosition(status.position)}  durable ${formatPosition(status.durable)}`,
    `  digest    ${status.digest}`,
  ];
  lines.push(...historyLines(status.history), ...archiveLines(status.archive, Date.now()), ...roleLines(status, url));
  const { consumer } = status;
  if (consumer !== undefined) lines.push(consumerLine(consumer), ...catchUpLines(consumer.catchUps), ...quarantineLines(consumer, url));
  for (const peer of status.peers) {
    lines.push(...peerLines(peer), ...divergedLines(peer, url));
    lines.push(...retentionLines(peer.site, status.retention));
  }
  return lines;
}

/** The whole status on one line, for a watch outside a terminal. */
export function statusLine(status: SiteStatus): string {
  const peers = status.peers.map(
    peer => `${peer.site} ${coloured(peer.state)} ${peer.position === null ? '-' : formatPosition(peer.position)}`,
  );
  const standing = status.standing === undefined || status.standing === status.role ? [] : [status.standing];
  const change = status.switch === undefined || status.switch === null ? [] : [`${status.switch.kind} ${status.switch.step}`];
  const head = [status.site, status.role, ...standing, coloured(status.state), formatPosition(status.position), ...change].join(' ');
  const archive = archiveWord(status.archive);
  return [head, ...peers, ...(archive === undefined ? [] : [archive])].join(' | ');
}

/** Who led before, and what is out of the ordinary: nothing is said of a site that never changed its role. */
function roleLines(status: SiteStatus, url: string): string[] {
  const { standing, epochs = [], switch: change, fencedBy, rival, divergences = [], role } = status;
  const lines: string[] = [];
  if (change !== undefined && change !== null) {
    const from = change.from === undefined ? '' : ` from ${change.from}`;
    lines.push(`  ${pico.yellow(change.kind)}  ${change.step}${from} to ${change.to}, since ${new Date(change.since).toISOString()}`);
  }
  if (standing !== undefined && standing !== role) lines.push(`  standing  ${pico.yellow(standing)}`);
  if (fencedBy !== undefined && fencedBy !== null) lines.push(...fenceLines(status, fencedBy, url));
  if (rival !== undefined && rival !== null) {
    const { number, id } = rival.epoch;
    const goesBack = rival.wins ? 'it goes back' : 'this site goes back';
    lines.push(
      `  ${pico.red('two primaries')}: ${rival.site ?? 'another site'} was promoted, too, in epoch ${number} (${id}); ${goesBack}`,
    );
  }
  const reigns = reignsOf(epochs);
  if (reigns.length > 1) lines.push(...reigns.slice(-EPOCHS_SHOWN).map(epochLine));
  for (const { name, commits, state } of divergences) {
    const count = `${formatCount(commits)} commit${commits === 1 ? '' : 's'}`;
    const isOpen = state === undefined || state === 'open';
    const again = state === 'standing' ? 'all of it is in the history again' : 'all applied again';
    lines.push(
      `  ${isOpen ? pico.yellow('diverged') : 'diverged'}  ${count} kept as ${name}${isOpen ? '' : `; ${again}`}`,
      `    evertree divergences ${isOpen ? 'show' : 'forget'} ${name} --url ${url}`,
    );
  }
  return lines;
}

/** By whom a site is fenced. A promise whose promoter died holds until somebody is promoted: then the way out is named. */
function fenceLines({ standing, position }: SiteStatus, { number, id, begun }: NonNullable<SiteStatus['fencedBy']>, url: string): string[] {
  const name = `epoch ${number} (${id})`;
  if (begun) return standing === 'fenced' ? [`  ${pico.red('fenced')}    by ${name}`] : [];
  if (number <= position.epoch) return [];
  const effect = standing === 'fenced' ? 'takes no writes' : 'acknowledges nothing to an older primary';
  return [
    `  ${pico.red('promised')}  ${name} to a site that was being promoted, and has not heard that it began: until then this site ${effect}`,
    `    if no site leads, promote one, this one for example: evertree promote --dry-run --url ${url}`,
  ];
}

/** How far back one can look, and who keeps more than the limits ask for. */
function historyLines(history: SiteStatus['history']): string[] {
  if (history === undefined) return [];
  const { from, bytes, maxBytes, fullInMs, held } = history;
  const since = from.time === null ? '' : `, ${new Date(from.time).toISOString()}`;
  const limit = maxBytes === null ? '' : ` of ${formatBytes(maxBytes)}`;
  const isFull = maxBytes !== null && bytes >= maxBytes;
  const growth = fullInMs === null ? '' : `, full in ${formatDuration(fullInMs)} at the present rate`;
  const full = isFull ? ', full: the oldest goes as new comes' : growth;
  return [
    `  history   from ${formatPosition(from.position)}${since}; ${formatBytes(bytes)}${limit}${full}`,
    ...held.map(({ kind, name, position, bytes: kept }) => {
      return `    ${pico.yellow(`${formatBytes(kept)} beyond its limits stay: the ${kind} ${name} needs what follows ${formatPosition(position)}`)}`;
    }),
  ];
}

/** The epochs as people count them: a restart of the primary goes on with the same number. */
function reignsOf(epochs: readonly EpochView[]): EpochView[] {
  const reigns: EpochView[] = [];
  for (const entry of epochs) {
    const before = reigns.at(-1);
    if (before?.number !== entry.number) reigns.push(entry);
    else if (entry.end !== undefined) reigns[reigns.length - 1] = { ...before, end: entry.end };
  }
  return reigns;
}

/** The newest epochs that are printed. */
const EPOCHS_SHOWN = 5;

function epochLine({ number, site, base, reason, time, end }: EpochView): string {
  const handed = end === undefined ? '' : `, handed over to ${end.to}`;
  return `  epoch ${number}   ${site} after ${formatPosition(base)}, ${new Date(time).toISOString()} (${reason})${handed}`;
}

function consumerLine({ state, primary, lag }: ConsumerView): string {
  if (primary === null) return '  primary   none came yet';
  return `  primary   ${pico.bold(primary.site)} from ${primary.remote}, ${state === 'offline' ? silenceText(lag) : behindText(lag)}`;
}

function behindText(lag: ConsumerView['lag']): string {
  return lag === null ? 'lag unknown' : lagText({ lagRevisions: lag.revisions, lagMs: lag.ms });
}

/** A secondary that has lost its primary can't know what was committed since: the lag is that of the last contact. */
function silenceText(lag: ConsumerView['lag']): string {
  if (lag === null || lag.ms === null) return 'not heard since the start';
  return `not heard for ${formatDuration(lag.ms)}; ${lagText({ lagRevisions: lag.revisions, lagMs: null })} then`;
}

function peerLines(peer: PeerView): string[] {
  const facts = [
    coloured(peer.state),
    peer.position === null ? 'position unknown' : `at ${formatPosition(peer.position)}`,
    peer.relay && peer.state === 'offline' ? waitingText(peer) : lagText(peer),
    ...(peer.through === null ? [] : [`through ${peer.through}`]),
    ...(peer.sentBytes === null || peer.through !== null ? [] : [`sent ${formatBytes(peer.sentBytes)}`]),
    ...(peer.state !== 'replicate' && peer.lastSeen !== null ? [`last seen ${new Date(peer.lastSeen).toISOString()}`] : []),
    ...(peer.caughtUpInMs !== null && peer.caughtUpInMs > 1_000 ? [`caught up in ${formatDuration(peer.caughtUpInMs)}`] : []),
  ];
  const lines = [`  ${pico.bold(peer.site)}  ${facts.join(', ')}`];
  if (peer.lastError !== null && peer.state !== 'replicate') lines.push(`    ${pico.yellow(peer.lastError)}`);
  return lines;
}

/** The way out of a quarantine. */
function quarantineLines({ state, primary }: ConsumerView, url: string): string[] {
  if (state !== 'quarantined') return [];
  return [`    ${pico.yellow(`mend it: ${repairCommand(url, primary?.address ?? `URL-OF-${primary?.site ?? 'PRIMARY'}`)}`)}`];
}

/** The way out for a peer whose tree is another one at the same position. Other histories are not mended that way. */
function divergedLines({ site, state, lastError }: PeerView, url: string): string[] {
  if (state !== 'diverged' || lastError?.includes('its tree has the digest') !== true) return [];
  return [`    ${pico.yellow(`mend it: ${repairCommand(`URL-OF-${site}`, url)}`)}`];
}

function repairCommand(secondary: string, primary: string): string {
  return `evertree compare --with ${primary} --repair --url ${secondary}`;
}

function retentionLines(site: string, retention: SiteStatus['retention']): string[] {
  if (retention?.passed.includes(site) === true)
    return [`    ${pico.yellow('it needs a full copy: the history that it would go on with has gone')}`];
  if (retention?.atRisk.includes(site) !== true) return [];
  const limit = formatBytes(retention.maxBytes);
  return [
    `    ${pico.yellow(`it will need a full copy soon: the history kept for it nears its limit of ${limit}; bring it back, or forget it`)}`,
  ];
}

function lagText({ lagRevisions, lagMs }: Pick<PeerView, 'lagRevisions' | 'lagMs'>): string {
  if (lagRevisions === null) return 'lag unknown';
  const time = lagMs === null || lagRevisions === 0 ? '' : ` (${formatDuration(lagMs)})`;
  return `lag ${formatCount(lagRevisions)} revision${lagRevisions === 1 ? '' : 's'}${time}`;
}

/** How much waits for a log that can't be reached. */
function waitingText({ lagRevisions, since }: PeerView): string {
  const waiting = lagRevisions === null ? '' : `, ${formatCount(lagRevisions)} revision${lagRevisions === 1 ? '' : 's'} wait for it`;
  return `away since ${new Date(since).toISOString()}${waiting}`;
}

function coloured(state: string): string {
  return (STATE_COLOURS[state] ?? pico.red)(state);
}
