import { type ExactPosition, formatPosition, type Role } from '@evertree/core';
import type { Archive } from '../reading/archive.ts';
import type { RestorePlan } from '../reading/restore-plan.ts';

/** What a restore is going to do. */
export interface RestoreForecast {
  readonly target: string;
  readonly archive: string;
  readonly stream: string;
  /** The line's id, and the name of its site where that can be read. */
  readonly line: string;
  readonly lineSite: string | undefined;
  /** In words: why this line, where there are several. */
  readonly chosen: string | undefined;
  /** What is restored: the state at this position. */
  readonly position: ExactPosition;
  /** Commit time there, milliseconds since 1970. */
  readonly time: number;
  /** Of the tree there; undefined in the middle of a frame. */
  readonly digest: string | undefined;
  /** In words: which commit was taken. */
  readonly taken: string;
  /** The image with which it begins; undefined if it begins at the first commit. */
  readonly image: { readonly position: ExactPosition; readonly parts: number; readonly bytes: number } | undefined;
  /** Objects with the changes after it. */
  readonly stretches: number;
  /** Commits that are applied to the image. */
  readonly commits: number;
  /** Bytes that are read, and what they are unpacked. */
  readonly bytes: number;
  readonly plainBytes: number;
  /** By `rate`, in milliseconds. */
  readonly expectedMs: number;
  /** What the expected time is derived from. */
  readonly rate: string;
  readonly role: Role;
  /** The name of the site; undefined where the archive's can't be read and none was given. */
  readonly site: string | undefined;
  /** The number of the epoch that the site begins; undefined for a secondary, which begins none. */
  readonly epoch: number | undefined;
  readonly asNewStream: boolean;
  /** An earlier attempt did not end in this directory: it goes on. */
  readonly resumes: boolean;
  /** What else there is to know, in sentences. */
  readonly notes: readonly string[];
}

/** What is assumed of a target and of this machine: bytes a second. */
const READ_RATE = 40_000_000;
const APPLY_RATE = 20_000_000;
const MEGABYTE = 1_000_000;
/** Of the shortest restore. */
const OVERHEAD_MS = 100;

/** What is asked for, beside the state. */
export interface RestoreWish {
  readonly role?: Role;
  readonly site?: string | undefined;
  readonly asNewStream?: boolean;
}

/** What was found out before. */
interface ForecastFacts {
  /** The highest number of an epoch that the archive tells of. */
  readonly archivedEpoch: number;
  readonly resumes: boolean;
}

export function forecastOf(archive: Archive, plan: RestorePlan, wish: RestoreWish, facts: ForecastFacts): RestoreForecast {
  const { image, stretches, bytes, plainBytes, commits, position, time, digest, taken, chosen, line, stream } = plan;
  const { role = 'primary', asNewStream = false } = wish;
  return {
    target: archive.target.name,
    archive: archive.id,
    stream,
    line,
    lineSite: plan.site,
    chosen,
    position,
    time,
    digest,
    taken,
    image: image && { position: image.position, parts: image.parts.length, bytes: image.parts.reduce((sum, part) => sum + part.bytes, 0) },
    stretches: stretches.length,
    commits,
    bytes,
    plainBytes,
    expectedMs: Math.ceil(OVERHEAD_MS + (bytes / READ_RATE + plainBytes / APPLY_RATE) * 1_000),
    rate: `assumed: ${READ_RATE / MEGABYTE} MB/s read, ${APPLY_RATE / MEGABYTE} MB/s applied`,
    role,
    site: wish.site ?? plan.site,
    epoch: role === 'secondary' ? undefined : facts.archivedEpoch + 2,
    asNewStream,
    resumes: facts.resumes,
    notes: notesOf(archive, plan, { ...wish, role, asNewStream }),
  };
}

function notesOf(archive: Archive, plan: RestorePlan, { role, site, asNewStream }: RestoreWish): string[] {
  const notes: string[] = [];
  const at = formatPosition(plan.position);
  if (asNewStream === true) {
    notes.push(
      `the site begins another stream: it has the tree of ${at} and its own history from there on; no secondary of the original follows it, and it needs an archive of its own`,
    );
  } else if (role === 'secondary') {
    notes.push(`the site takes no writes: it follows its primary from ${at}, or from the last whole frame before it`);
    if (plan.digest === undefined) notes.push(`${at} is in the middle of a frame: the secondary begins where that frame does`);
  } else {
    notes.push(
      'the site takes writes, in an epoch above all that the archive knows: sites of the former epochs follow it, and commits after that moment are left behind there',
    );
  }
  if (!asNewStream && role !== 'secondary' && (site === undefined || site === plan.site) && plan.site !== undefined) {
    notes.push(`it has the name of the site that archived this, ${plan.site}: never run both; --site gives it another name`);
  }
  const namesake = archive.lines.find(
    other => other.id !== plan.line && other.site !== undefined && other.site === site && other.site !== plan.site,
  );
  if (namesake !== undefined) notes.push(`a site named ${site} archived the line ${namesake.id} here: never run it beside this one`);
  for (const { text } of archive.problems) notes.push(`in the archive: ${text}`);
  return notes;
}
