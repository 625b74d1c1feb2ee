import { EvertreeError, isEvertreeError } from '@evertree/core';
import type { ArchiveHead } from '../format/archive-head.ts';
import { parseHead } from '../format/head-codec.ts';
import { parseManifest } from '../format/manifest-codec.ts';
import type { Manifest } from '../format/manifest.ts';
import { HEAD_KEY, MANIFEST_PREFIX, manifestKey } from '../format/object-keys.ts';
import { newestSound } from '../reading/manifest-choice.ts';
import type { Target } from '../targets/target.ts';
import { type FindingList, problemOf } from './archive-finding.ts';

/** What is wrong with older manifests changes nothing of what counts. */
const nothing = () => undefined;

/** What counts in an archive, or the newest of it that can still be read. */
export interface OpenedArchive {
  readonly archive: string;
  readonly stream: string | null;
  readonly isEncrypted: boolean;
  /** Undefined before the first backup. */
  readonly manifest: Manifest | undefined;
  /** Its hash. */
  readonly hash: string | null;
  /** Undefined if it can't be read. */
  readonly head: ArchiveHead | undefined;
}

/**
 * Reads HEAD and the manifest. Where they are not sound that is a finding, and the newest sound manifest is taken.
 * @throws EvertreeError NOT_FOUND where there is no archive at all; FORMAT_UNSUPPORTED
 */
export async function openArchive(target: Target, list: FindingList): Promise<OpenedArchive> {
  const head = await readHead(target, list);
  const named = head?.manifest ?? null;
  const manifest = named === null ? undefined : await readManifest(target, named, list);
  if (head !== undefined && (named === null || manifest !== undefined)) return opened({ head, manifest, hash: named }, list);
  const found = await newestSound(target, head?.archive, nothing);
  if (found === undefined && head === undefined && list.count === 0) throw noArchive(target);
  if (found === undefined && head === undefined) {
    throw new EvertreeError('DAMAGED', `neither HEAD nor any manifest of ${target.name} can be read: nothing of it can be restored`);
  }
  if (found !== undefined) list.remark(`what follows is of the manifest ${found.hash}, the newest that is sound`);
  return opened({ head, manifest: found?.manifest, hash: found?.hash ?? null }, list);
}

function opened({ head, manifest, hash }: Pick<OpenedArchive, 'head' | 'manifest' | 'hash'>, list: FindingList): OpenedArchive {
  const lines = manifest?.lines ?? [];
  const isEncrypted = head === undefined ? lines.some(line => typeof line.private === 'string') : head.recipients.length > 0;
  for (const line of isEncrypted ? lines : []) {
    if (typeof line.private === 'string') continue;
    const problem = 'the name of a site in it is not encrypted, and the archive is';
    list.add({ level: 0, object: manifestKey(hash!), line: line.id, problem });
  }
  return { archive: (head ?? manifest)!.archive, stream: manifest?.stream ?? head?.stream ?? null, isEncrypted, manifest, hash, head };
}

async function readHead(target: Target, list: FindingList): Promise<ArchiveHead | undefined> {
  const object = await target.get(HEAD_KEY);
  if (object === undefined) {
    for await (const _ of target.list(MANIFEST_PREFIX)) {
      list.add({ level: 0, object: HEAD_KEY, line: null, problem: 'it is missing, and there are manifests' });
      break;
    }
    return undefined;
  }
  try {
    return parseHead(object.bytes);
  } catch (error) {
    if (isEvertreeError(error, 'FORMAT_UNSUPPORTED')) throw error;
    list.add({ level: 0, object: HEAD_KEY, line: null, problem: problemOf(error) });
    return undefined;
  }
}

async function readManifest(target: Target, hash: string, list: FindingList): Promise<Manifest | undefined> {
  const key = manifestKey(hash);
  const object = await target.get(key);
  if (object === undefined) {
    list.add({ level: 0, object: key, line: null, problem: 'it is missing, and HEAD names it' });
    return undefined;
  }
  try {
    return parseManifest(object.bytes, hash);
  } catch (error) {
    if (isEvertreeError(error, 'FORMAT_UNSUPPORTED')) throw error;
    list.add({ level: 0, object: key, line: null, problem: problemOf(error) });
    return undefined;
  }
}

function noArchive(target: Target): EvertreeError {
  const message = `there is no archive in ${target.name}: it has no object HEAD; make one with "evertree backup init"`;
  return new EvertreeError('NOT_FOUND', message, { target: target.name });
}
