/**
 * A place that keeps objects: a directory, or a bucket and a prefix of an S3 service. Keys are relative to it, with `/`;
 * they have only letters, digits, `.`, `-`, `_`, and no part of one begins with a dot.
 *
 * Laws, held by one conformance suite for every implementation:
 * - **Whole or not at all.** An object is there with all its bytes, or it is not there: whatever dies in between.
 * - **Durable.** What a call made is there after a power loss, once the call has resolved.
 * - **Create-only.** Of two that create one key, one gets `created`, whatever the timing; the object never changes.
 * - **Compare and swap.** `replace` changes an object only if its tag is the given one; of two, one gets `changed`.
 * - **Read your writes.** A read or a list that begins after a write has resolved sees it.
 *
 * The two conditions hold only where `probeTarget` found that the service really refuses.
 *
 * Every call may be tried again: each retries by itself what is worth it (a cut, a timeout, 5xx, slow-down) within
 * bounds, and throws then: UNREACHABLE, UNAUTHENTICATED (refused or expired credentials), FORBIDDEN, NOT_FOUND (no such
 * bucket or directory), STORAGE_FULL, STORAGE_FAILED; each names the target, the key and the remedy.
 */
export interface Target extends AsyncDisposable {
  /** As people write it: a directory, or `s3://bucket/prefix`. */
  readonly name: string;

  /** The whole object; undefined if there is none. */
  get(key: string): Promise<TargetObject | undefined>;
  /** What is known of an object without its bytes; undefined if there is none. */
  stat(key: string): Promise<ObjectStat | undefined>;
  /** Makes an object, unless there is one of that key. The caller leaves the bytes alone until the call has ended. */
  create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'>;
  /**
   * Replaces an object if it still has the tag, or makes it if `tag` is undefined and there is none.
   * @returns the new tag, or `changed`: somebody else was first, read again
   */
  replace(key: string, bytes: Uint8Array, tag: string | undefined): Promise<{ readonly tag: string } | 'changed'>;
  /** Removes objects and makes sure that they are gone; those that are not there are no error. */
  remove(keys: readonly string[]): Promise<void>;
  /** Every object whose key begins so, in the order of the keys' bytes, however many pages that takes. */
  list(prefix: string): AsyncIterable<ListedObject>;
  /** The target's own time, milliseconds since 1970: that of the service, or of the file system. */
  now(): Promise<number>;
}

export interface TargetObject {
  readonly bytes: Buffer;
  /** Names this state of the object for `replace`. */
  readonly tag: string;
}

export interface ObjectStat {
  readonly size: number;
  /** When it was made, by the target's own time, milliseconds since 1970. */
  readonly modified: number;
}

export interface ListedObject {
  readonly key: string;
  readonly size: number;
  readonly modified: number;
}
