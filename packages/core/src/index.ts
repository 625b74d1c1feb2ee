export { formatAddress, isLoopback } from './addresses.ts';
export {
  type AccessToken,
  type Bearer,
  BearerTokens,
  bearerTokens,
  type AccessRight,
  lacksRight,
  presentTokens,
  RIGHTS,
} from './bearer.ts';
export { BoundedReports } from './bounded-reports.ts';
export { emptyDigest } from './tree/digest.ts';
export type { MarkNote } from './frames/body.ts';
export { BodyScan } from './frames/body-scan.ts';
export { ByteWriter } from './frames/byte-writer.ts';
export * from './frames/change-set.ts';
export { readChangeSets } from './frames/change-set-reader.ts';
export { changeSetSteps } from './store/change-set-steps.ts';
export { decodeChangeSets, decodeFrame } from './frames/collect-sink.ts';
export { Commit, type CommitOptions } from './transactions/commit.ts';
export * from './divergence.ts';
export * from './seams/disk.ts';
export * from './seams/divergences.ts';
export * from './emitter.ts';
export * from './lineage.ts';
export * from './marks.ts';
export * from './errors.ts';
export * from './frames/frame.ts';
export { FrameWriter } from './frames/frame-writer.ts';
export * from './greeting/fenced.ts';
export { greet, type GreetingOptions } from './greeting/greeting.ts';
export * from './greeting/hello.ts';
export type { GuardSchema } from './transactions/guards.ts';
export * from './seams/host.ts';
export * from './seams/journal.ts';
export * as bodyTags from './frames/binary-format.ts';
export { keyOfBytes } from './frames/key-cache.ts';
export { HAS_BELOW, HAS_VALUE, NET_DEPTH_LIMIT, NET_KEY_SHIFT, type NetChanges } from './frames/net-changes.ts';
export { compareTrees, type ComparisonEffort, type DigestSource, type TreeDifference } from './tree/comparison.ts';
export { DAMAGED_LIMIT, type DigestCheck } from './tree/digest-check.ts';
export { type ChildKind, type DigestAnswer, type DigestQuery, isKeyGroup, type KeyGroup } from './tree/digest-query.ts';
export * from './tree/limits.ts';
export type { Batch, ChangeType, Modification } from './listeners/batch.ts';
export * from './tree/path.ts';
export { PathSet } from './frames/path-set.ts';
export { PastTree } from './store/past-tree.ts';
export { any, formatPattern, hasWildcard, parsePattern, type Pattern, type PatternLike } from './listeners/pattern.ts';
export { parseJson } from './parse-json.ts';
export * from './position.ts';
export type { PreparedFrame } from './store/following.ts';
export { EMPTY_HEAD, headAfter, headAt, type HistoryHead } from './store/history.ts';
export { RebuiltTree } from './store/rebuilt-tree.ts';
export * from './store/rewritten-history.ts';
export type { MarkOptions } from './store/marking.ts';
export { SnapshotReceiver } from './store/snapshot-receiver.ts';
export { SNAPSHOT_CHUNK_BYTES } from './frames/snapshot-codec.ts';
export { Signal } from './signal.ts';
export { Snapshot, SnapshotNode, type TreeChange } from './store/snapshot.ts';
export type { StoreEvents, StoreLimits, StoreOptions } from './store/store-options.ts';
export { standingOf, type Standing, type StandingIdentity } from './store/standing.ts';
export type { Hold, StoreState } from './store/write-gate.ts';
export type { WriteDestination } from './store/write-route.ts';
export { Store } from './store/store.ts';
export { finishSteps, Turn } from './turn.ts';
export { Waiters } from './store/waiters.ts';
export { PreparedTransaction } from './transactions/prepared-transaction.ts';
export { Transaction, type TransactionSteps } from './transactions/transaction.ts';
export * from './seams/reason.ts';
export * from './seams/role-message.ts';
export * from './seams/transport.ts';
export { measure, sameValue } from './tree/content.ts';
export { getInside } from './tree/tree.ts';
export type { PreparationHints } from './tree/prepared-value.ts';
export type { Value } from './tree/value.ts';
