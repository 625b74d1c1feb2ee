// Reading the frames of a site's directory without a site, for those who copy its history elsewhere.
export { DamageList } from './offline/damage.ts';
export { listSite, type ListedDirectory } from './offline/directory-listing.ts';
export { framesAfter, type IndexedSegment, listSegments, type RecordPlace } from './index/segment-frames.ts';
export { synchronousDisk } from './index/synchronous-disk.ts';
export { EndFlag, endThread, type EndRequest } from './index/thread-ending.ts';
export { yieldProcessor } from './index/thread-priority.ts';
