import type { ServedPair } from '../contestants/served-pair.ts';
import * as bodies from './bodies.ts';
import { batch, expectStatus, type HoldCase, merge, patchJson, put } from './hold-case.ts';

interface Sizes {
  readonly size: HoldCase['size'];
  readonly bytes: number;
  readonly operations: number;
  /** Of an object whose body has so many bytes. */
  readonly leaves: number;
}

export const SMALL: Sizes = { size: 'small', bytes: bodies.MIB, operations: 10_000, leaves: 70_000 };
export const LARGE: Sizes = { size: 'large', bytes: 16 * bodies.MIB, operations: 400_000, leaves: 1_000_000 };

/** What changes the tree by one request. Values go below `/w`, each case's to a place of its own. */
export function writeCases(sizes: Sizes): readonly HoldCase[] {
  return [...valueCases(sizes), ...mergeCases(sizes), ...patchCases(sizes), ...batchCases(sizes)];
}

function valueCases({ size, bytes, leaves }: Sizes): HoldCase[] {
  const many = bodies.mostLeaves(bytes);
  const value = (name: string, body: () => Buffer, changed?: number): HoldCase => {
    const path = `/w/${name.replaceAll(' ', '-')}-${size}`;
    return {
      name: `PUT ${name}`,
      size,
      ...(changed === undefined ? {} : { leaves: changed }),
      run: ({ primary }) => put(primary, path, body()),
    };
  };
  return [
    value('records', () => bodies.devices(leaves), leaves),
    { ...value('records', () => bodies.devices(leaves)), name: 'PUT equal records again' },
    { ...value('records', () => bodies.devices(leaves, 1), leaves), name: 'PUT records over others' },
    {
      name: 'DELETE records',
      size,
      leaves,
      run: async ({ primary }) => expectStatus(await primary.request('DELETE', `/data/w/records-${size}`), 200),
    },
    value('an object with the shortest keys', () => bodies.shortMembers(many), many),
    // An item counts 8 bytes at least, and a commit may have 64 MiB.
    value('an array of numbers', () => bodies.array(size === 'small' ? '1' : '1000000', bytes)),
    value('an array of objects', () => bodies.array(size === 'small' ? '{}' : '{"a":1}', bytes)),
    value('an array of small arrays', () => bodies.array(size === 'small' ? '[[],[]]' : '[[1111],[1111]]', bytes)),
    value('an array of records', () => bodies.array('{"a":1,"b":"x"}', bytes)),
    value('a text', () => bodies.plainText(bytes)),
    value('a text of escapes', () => bodies.escapedText(bytes)),
    {
      name: 'PUT what is no JSON at its end',
      size,
      run: async ({ primary }) => {
        const body = Buffer.concat([bodies.devices(leaves).subarray(0, -1), Buffer.from(',]')]);
        expectStatus(await primary.request('PUT', '/data/w/broken', { type: 'application/json', body }), 400);
      },
    },
    {
      name: 'PUT a number that no double holds at its end',
      size,
      run: async ({ primary }) => {
        const body = Buffer.concat([bodies.devices(leaves).subarray(0, -1), Buffer.from(',"x":9007199254740993}')]);
        expectStatus(await primary.request('PUT', '/data/w/broken', { type: 'application/json', body }), 400);
      },
    },
    {
      name: 'PUT brackets',
      size,
      run: async ({ primary }) => {
        expectStatus(await primary.request('PUT', '/data/w/broken', { type: 'application/json', body: Buffer.alloc(bytes, '[') }), 400);
      },
    },
  ];
}

function mergeCases({ size, leaves, operations }: Sizes): HoldCase[] {
  const path = `/w/merged-${size}`;
  const one = (name: string, body: () => Buffer, changed?: number): HoldCase => ({
    name: `merge ${name}`,
    size,
    ...(changed === undefined ? {} : { leaves: changed }),
    run: ({ primary }) => merge(primary, path, body()),
  });
  return [
    one('records into nothing', () => bodies.devices(leaves), leaves),
    one('equal records', () => bodies.devices(leaves)),
    // Two leaves of each record differ.
    one('changed records', () => bodies.devices(leaves, 1), leaves / 5),
    one('members', () => bodies.shortMembers(operations), operations),
    one('nulls', () => bodies.shortMembers(operations, null), operations),
  ];
}

function patchCases({ size, operations }: Sizes): HoldCase[] {
  const path = `/w/patched-${size}`;
  const one = (name: string, make: (index: number) => object, count = operations): HoldCase => ({
    name: `JSON patch, ${name}`,
    size,
    leaves: count,
    run: ({ primary }) => patchJson(primary, path, bodies.patch(count, make)),
  });
  const listOperations = Math.min(operations, 10_000);
  const cases: HoldCase[] = [
    {
      ...one('adds', index => ({ op: 'add', path: `/k${index}`, value: index })),
      prepare: ({ primary }) => put(primary, path, Buffer.from('{"list":[]}')),
    },
    one('replaces', index => ({ op: 'replace', path: `/k${index}`, value: -1 - index })),
    {
      ...one('tests and replaces', index => ({
        op: index % 2 === 0 ? 'test' : 'replace',
        path: `/k${index}`,
        value: -1 - index - (index % 2),
      })),
      leaves: operations / 2,
    },
    one('copies', index => ({ op: 'copy', from: `/k${index}`, path: `/c${index}` })),
    one('moves', index => ({ op: 'move', from: `/c${index}`, path: `/m${index}` })),
    one('removes', index => ({ op: 'remove', path: `/m${index}` })),
    { ...one('adds at the end of an array', index => ({ op: 'add', path: '/list/-', value: index }), listOperations), leaves: 0 },
    { ...one('adds at the beginning of an array', index => ({ op: 'add', path: '/list/0', value: index }), listOperations), leaves: 0 },
    { ...one('removes from the beginning of an array', () => ({ op: 'remove', path: '/list/0' }), listOperations), leaves: 0 },
  ];
  return cases.map(withoutZero);
}

/** An array is one value, however many operations change it. */
function withoutZero({ leaves, ...rest }: HoldCase): HoldCase {
  return leaves === undefined || leaves === 0 ? rest : { ...rest, leaves };
}

function batchCases({ size, operations, leaves }: Sizes): HoldCase[] {
  const one = (name: string, body: () => Buffer, changed?: number): HoldCase => ({
    name: `batch, ${name}`,
    size,
    ...(changed === undefined ? {} : { leaves: changed }),
    run: ({ primary }) => batch(primary, body()),
  });
  return [
    one('lines of one put', () => bodies.lines(operations, index => ['put', `/b/${size}/k${index}`, index])),
    one('lines of one merge', () => bodies.lines(operations, index => ['merge', `/b/${size}`, { [`k${index}`]: -index - 1 }])),
    one('one line of many puts', () => bodies.transaction(operations, index => ['put', `/b/t-${size}/k${index}`, index]), operations),
    one('one line of many deletes', () => bodies.transaction(operations, index => ['delete', `/b/t-${size}/k${index}`]), operations),
    one('one line with one value', () => Buffer.from(`["put","/b/v-${size}",${bodies.devices(leaves).toString()}]\n`), leaves),
  ];
}

/** Commits of a divergence are applied again. */
export function replayCase({ size, operations }: Sizes): HoldCase {
  return {
    name: 'divergence, replay',
    size,
    run: async ({ primary }: ServedPair) => {
      const { position } = await primary.process.call('state');
      const body = bodies.replay(position, operations);
      const answer = await primary.request('POST', '/admin/divergences/replay', { type: 'application/json', body });
      expectStatus(answer, 200);
    },
  };
}
