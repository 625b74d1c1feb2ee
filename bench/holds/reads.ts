import type { ServedPair } from '../contestants/served-pair.ts';
import { until } from '../clock.ts';
import * as bodies from './bodies.ts';
import { atBoth, batch, expectStatus, get, type HoldCase, position, post, put } from './hold-case.ts';

const LINES = 'application/x-ndjson';
/** Events that a watch has had with its first `state`. */
const WITH_STATE = 2;

/** The whole tree, or much of it. */
export const treeCases: readonly HoldCase[] = [
  { name: 'GET the whole tree', run: pair => atBoth(pair, site => get(site, '/data')) },
  {
    name: 'HEAD of the whole tree',
    run: pair => atBoth(pair, async site => expectStatus(await site.request('HEAD', '/data'), 200)),
  },
  watchCase('the whole tree', '/watch'),
  watchCase('a wildcard', '/watch/devices/*/interfaces/*/mtu'),
  {
    name: 'status and metrics',
    run: pair => atBoth(pair, async site => [await get(site, '/status'), await get(site, '/metrics')]),
  },
  {
    name: 'compare: the state is held, its digests asked for',
    run: pair =>
      atBoth(pair, async site => {
        const { pin } = JSON.parse((await post(site, '/digests', {})).text) as { pin: string };
        await post(site, `/digests/${pin}`, { queries: [{ path: '' }, { path: '/devices' }, { path: '/devices', group: '3' }] });
        expectStatus(await site.request('DELETE', `/digests/${pin}`), 204);
      }),
  },
  { name: 'snapshot', run: pair => atBoth(pair, site => post(site, '/admin/snapshot', {})) },
];

/** Goes back through the history until the author of each leaf is known. */
export const wholeBlame: HoldCase = {
  name: 'blame of the whole tree',
  run: pair => atBoth(pair, site => get(site, '/blame?path=/devices', LINES)),
};

function watchCase(what: string, path: string): HoldCase {
  return {
    name: `watch of ${what}, from its state`,
    run: pair =>
      atBoth(pair, async site => {
        using watcher = await site.watch(path);
        await until('the state came', () => watcher.events >= WITH_STATE);
      }),
  };
}

/** What is asked about a commit of so many operations afterwards, and what undoes it. */
export function pastCases(operations: number): readonly HoldCase[] {
  const path = '/past/commit';
  let before = '';
  let after = '';
  const body = (value: number) => bodies.transaction(operations, index => ['put', `${path}/d${index % 1_000}/k${index}`, index + value]);
  const ask = (name: string, target: () => string, accept?: string): HoldCase => ({
    name: `${name}, ${operations / 1_000}k operations in one commit`,
    run: pair => atBoth(pair, site => get(site, target(), accept)),
  });
  return [
    {
      ...ask('history of the path', () => `/history?path=${path}&limit=10`),
      prepare: async pair => {
        await batch(pair.primary, body(0));
        before = await position(pair);
        await batch(pair.primary, body(1));
        after = await position(pair);
        await pair.equal();
      },
    },
    ask('history of the path, without values', () => `/history?path=${path}&values=false`),
    ask('history of the path, as lines', () => `/history?path=${path}`, LINES),
    ask('history of the root', () => '/history?limit=100&values=false'),
    ask('history of one leaf', () => `/history?path=${path}/d7/k7`),
    ask('one commit', () => `/history/${after}`),
    ask('diff', () => `/diff?from=${before}&to=${after}&path=${path}`, LINES),
    ask('diff of the whole tree', () => `/diff?from=${before}&to=${after}`),
    ask('blame', () => `/blame?path=${path}`, LINES),
    ask('find', () => `/find?path=${path}&where=${encodeURIComponent('= 5')}`, LINES),
    ask('find of a path that is deleted', () => `/find?path=${path}&deleted=true`),
    ask('the subtree as it was', () => `/data${path}?at=${before}`),
    ask('a leaf as it was', () => `/data${path}/d7/k7?at=${before}`),
    ask('the whole tree as it was', () => `/data?at=${before}`),
    {
      name: `revert of a commit, dry run, ${operations / 1_000}k operations in one commit`,
      run: ({ primary }) => post(primary, '/admin/revert', { commit: after, dryRun: true }).then(() => undefined),
    },
    {
      name: `revert of a commit, ${operations / 1_000}k operations in one commit`,
      leaves: operations,
      run: ({ primary }) => post(primary, '/admin/revert', { commit: after }).then(() => undefined),
    },
    {
      name: `revert of a path, ${operations / 1_000}k operations in one commit`,
      leaves: operations,
      run: ({ primary }) => post(primary, '/admin/revert', { path, to: after }).then(() => undefined),
    },
  ];
}

/** The first one is not concerned. */
const WATCHED = ['/y', '/x', '/x/*', '/x/*/*', '/*/d1', '/x/d2', '/*/*/k3', '/x/d4', '/x/d5', '/x/d6'];
const WATCHES = 20;

/** A commit of many operations while many watch. */
export function watchedCase(operations: number): HoldCase {
  return {
    name: `${WATCHES} watches of ${WATCHED.length} patterns at each site, ${operations / 1_000}k operations in one commit`,
    leaves: operations,
    prepare: ({ primary }) => put(primary, '/x', Buffer.from('{}')),
    run: async pair => {
      const watchers = await Promise.all(
        Array.from({ length: WATCHES }, (_, index) =>
          (index % 2 === 0 ? pair.primary : pair.secondary).watch(`/watch${WATCHED[index >> 1]}`),
        ),
      );
      await until('each has its state', () => watchers.every(({ events }) => events >= WITH_STATE));
      await batch(
        pair.primary,
        bodies.transaction(operations, index => ['put', `/x/d${index % 10}/k${index}`, index]),
      );
      await until('each has its change', () => watchers.every(({ events }, index) => index < 2 || events > WITH_STATE));
      for (const watcher of watchers) watcher[Symbol.dispose]();
    },
  };
}

/** A commit of many operations while somebody listens in the process. */
export function listenedCase(operations: number): HoldCase {
  return {
    name: `a listener at each site, ${operations / 1_000}k operations in one commit`,
    leaves: operations,
    run: async pair => {
      await atBoth(pair, site => site.process.call('listen', '/heard/*/*'));
      await batch(
        pair.primary,
        bodies.transaction(operations, index => ['put', `/heard/h${index % 1_000}/k${index}`, index]),
      );
      await pair.equal();
      await atBoth(pair, site => site.process.call('stopListening'));
    },
  };
}

/** Snapshots at both sites while 2,000 commits a second go on. */
export function snapshotWhileWriting(shape: Parameters<ServedPair['writeMeanwhile']>[0]): HoldCase {
  return {
    name: 'snapshot while 2,000 commits a second go on',
    run: pair => pair.writeMeanwhile(shape, 2_000, () => atBoth(pair, site => post(site, '/admin/snapshot', {}))),
  };
}

/** A new secondary gets the whole tree. */
export const fullCopy: HoldCase = {
  name: 'full copy to a new secondary',
  prepare: pair => post(pair.primary, '/admin/snapshot', {}).then(() => undefined),
  run: pair => pair.replaceSecondary(),
};
