import type { ServedPair } from '../contestants/served-pair.ts';
import * as bodies from './bodies.ts';
import { batch, expectStatus, type HoldCase, merge, patchJson, put } from './hold-case.ts';

export interface Sizes {
  readonly bytes: number;
  readonly operations: number;
  /** Of an object whose body has so many bytes. */
  readonly leaves: number;
  /** Of the commits that are asked about afterwards. */
  readonly pastOperations: number;
}

/** The largest requests that are judged by what they hold as a whole. */
export const SMALL: Sizes = { bytes: bodies.MIB, operations: 10_000, leaves: 70_000, pastOperations: 10_000 };
/**
 * Of these a commit is judged for each leaf. Questions about the past have fewer operations: with 400,000 they took half
 * of the measure's time.
 */
export const LARGE: Sizes = { bytes: 16 * bodies.MIB, operations: 400_000, leaves: 1_000_000, pastOperations: 100_000 };

/** What changes the tree by one request. Values go below `/w`, each case's to a place of its own. */
export function writeCases(sizes: Sizes): readonly HoldCase[] {
  return [...valueCases(sizes), ...mergeCases(sizes), ...patchCases(sizes), ...batchCases(sizes)];
}

function putCase(name: string, body: () => Buffer, changed?: number): HoldCase {
  const path = `/w/${name.replaceAll(' ', '-')}`;
  return { name: `PUT ${name}`, leaves: changed, run: ({ primary }) => put(primary, path, body()) };
}

function valueCases({ bytes, leaves }: Sizes): HoldCase[] {
  const many = bodies.mostLeaves(bytes);
  // An item counts 8 bytes at least, and a commit may have 64 MiB.
  const items = (small: string, large: string) => () => bodies.array(bytes > bodies.MIB ? large : small, bytes);
  return [
    putCase('records', () => bodies.devices(leaves), leaves),
    { ...putCase('records', () => bodies.devices(leaves)), name: 'PUT equal records again' },
    { ...putCase('records', () => bodies.devices(leaves, 1), leaves), name: 'PUT records over others' },
    {
      name: 'DELETE records',
      leaves,
      run: async ({ primary }) => expectStatus(await primary.request('DELETE', '/data/w/records'), 200),
    },
    putCase('an object with the shortest keys', () => bodies.shortMembers(many), many),
    putCase('an array of numbers', items('1', '1000000')),
    putCase('an array of objects', items('{}', '{"a":1}')),
    putCase('an array of small arrays', items('[[],[]]', '[[1111],[1111]]')),
    putCase('an array of records', () => bodies.array('{"a":1,"b":"x"}', bytes)),
    putCase('a text', () => bodies.plainText(bytes)),
    putCase('a text of escapes', () => bodies.escapedText(bytes)),
    {
      name: 'PUT what is no JSON at its end',
      run: async ({ primary }) => {
        const body = Buffer.concat([bodies.devices(leaves).subarray(0, -1), Buffer.from(',]')]);
        expectStatus(await primary.request('PUT', '/data/w/broken', { type: 'application/json', body }), 400);
      },
    },
    {
      name: 'PUT a number that no double holds at its end',
      run: async ({ primary }) => {
        const body = Buffer.concat([bodies.devices(leaves).subarray(0, -1), Buffer.from(',"x":9007199254740993}')]);
        expectStatus(await primary.request('PUT', '/data/w/broken', { type: 'application/json', body }), 400);
      },
    },
    {
      name: 'PUT brackets',
      run: async ({ primary }) => {
        expectStatus(await primary.request('PUT', '/data/w/broken', { type: 'application/json', body: Buffer.alloc(bytes, '[') }), 400);
      },
    },
  ];
}

function mergeCases({ leaves, operations }: Sizes): HoldCase[] {
  const path = '/w/merged';
  const one = (name: string, body: () => Buffer, changed?: number): HoldCase => ({
    name: `merge ${name}`,
    leaves: changed,
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

function patchCases({ operations }: Sizes): HoldCase[] {
  const path = '/w/patched';
  const one = (name: string, make: (index: number) => object, count = operations): HoldCase => ({
    name: `JSON patch, ${name}`,
    leaves: count,
    run: ({ primary }) => patchJson(primary, path, bodies.patch(count, make)),
  });
  const listOperations = Math.min(operations, 10_000);
  return [
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
    // An array is one value, however many operations change it.
    { ...one('adds at the end of an array', index => ({ op: 'add', path: '/list/-', value: index }), listOperations), leaves: undefined },
    {
      ...one('adds at the beginning of an array', index => ({ op: 'add', path: '/list/0', value: index }), listOperations),
      leaves: undefined,
    },
    { ...one('removes from the beginning of an array', () => ({ op: 'remove', path: '/list/0' }), listOperations), leaves: undefined },
  ];
}

function batchCase(name: string, body: () => Buffer, changed?: number): HoldCase {
  return { name: `batch, ${name}`, leaves: changed, run: ({ primary }) => batch(primary, body()) };
}

function batchCases({ operations, leaves }: Sizes): HoldCase[] {
  return [
    batchCase('lines of one put', () => bodies.lines(operations, index => ['put', `/b/lines/k${index}`, index])),
    batchCase('lines of one merge', () => bodies.lines(operations, index => ['merge', '/b/lines', { [`k${index}`]: -index - 1 }])),
    batchCase('one line of many puts', () => bodies.transaction(operations, index => ['put', `/b/puts/k${index}`, index]), operations),
    batchCase('one line of many deletes', () => bodies.transaction(operations, index => ['delete', `/b/puts/k${index}`]), operations),
    batchCase('one line with one value', () => Buffer.from(`["put","/b/value",${bodies.devices(leaves).toString()}]\n`), leaves),
  ];
}

/** Commits of a divergence are applied again. */
export function replayCase({ operations }: Sizes): HoldCase {
  return {
    name: 'divergence, replay',
    run: async ({ primary }: ServedPair) => {
      const { position } = await primary.process.call('state');
      const body = bodies.replay(position, operations);
      const answer = await primary.request('POST', '/admin/divergences/replay', { type: 'application/json', body });
      expectStatus(answer, 200);
    },
  };
}
