import { ORIGIN } from '@evertree/core';
import type { ExactPosition, RoleMessage } from '@evertree/core';
import { expect, test } from 'vitest';
import { roleSchema } from './role-messages.ts';
import { parseJson } from './schemas.ts';

/**
 * PROTOCOL.md, version 4, «role»: the JSON that both wires carry. Who has to change an expectation here changes the
 * protocol.
 */
const POSITION: ExactPosition = { epoch: 4, epochId: '00112233445566ff', revision: 1201 };
const POSITION_JSON = '{"epoch":4,"epochId":"00112233445566ff","revision":1201}';
const EPOCH = {
  number: 4,
  id: '00112233445566ff',
  site: 'north',
  base: ORIGIN,
  reason: 'created',
  time: 1_790_000_000_000,
  end: { to: 'south', command: 'c0' },
};
const EPOCH_JSON =
  '{"number":4,"id":"00112233445566ff","site":"north","base":{"epoch":0,"epochId":"0000000000000000","revision":0},"reason":"created","time":1790000000000,"end":{"to":"south","command":"c0"}}';
const NAME = { number: 5, id: '00000000000000aa' };
const NAME_JSON = '{"number":5,"id":"00000000000000aa"}';

/** Each message about who leads, and its JSON. */
const roles: { readonly [Kind in RoleMessage['kind']]: readonly [Extract<RoleMessage, { kind: Kind }>, string] } = {
  prepare: [
    { kind: 'prepare', command: 'c1', from: 'nørth', to: 'south', dryRun: true },
    '{"kind":"prepare","command":"c1","from":"nørth","to":"south","dryRun":true}',
  ],
  consent: [
    {
      kind: 'consent',
      command: 'c1',
      obstacles: [{ code: 'NO_STANDBY', text: 'why' }],
      syncMs: 0.5,
      facts: { program: 'evertree 0.3.0', frameVersion: 2, reaches: ['nørth'], unreached: ['ws://west:1'], logs: ['topic t'] },
    },
    '{"kind":"consent","command":"c1","obstacles":[{"code":"NO_STANDBY","text":"why"}],"syncMs":0.5,"facts":{"program":"evertree 0.3.0","frameVersion":2,"reaches":["nørth"],"unreached":["ws://west:1"],"logs":["topic t"]}}',
  ],
  begun: [
    { kind: 'begun', command: 'c1', epoch: NAME, position: POSITION, epochs: [EPOCH], advertised: 'http://south:8181' },
    `{"kind":"begun","command":"c1","epoch":${NAME_JSON},"position":${POSITION_JSON},"epochs":[${EPOCH_JSON}],"advertised":"http://south:8181"}`,
  ],
  withdraw: [{ kind: 'withdraw', command: 'c1' }, '{"kind":"withdraw","command":"c1"}'],
  declined: [{ kind: 'declined', command: 'c1' }, '{"kind":"declined","command":"c1"}'],
  ask: [{ kind: 'ask', command: 'c1' }, '{"kind":"ask","command":"c1"}'],
  told: [
    { kind: 'told', command: 'c1', outcome: 'abandoned', text: 'declined', time: 1_790_000_000_000.5 },
    '{"kind":"told","command":"c1","outcome":"abandoned","text":"declined","time":1790000000000.5}',
  ],
  request: [
    { kind: 'request', command: 'c1', to: 'south', dryRun: false, cancel: true, maxPauseMs: 5000 },
    '{"kind":"request","command":"c1","to":"south","dryRun":false,"cancel":true,"maxPauseMs":5000}',
  ],
  answered: [
    {
      kind: 'answered',
      command: 'c1',
      outcome: 'done',
      text: 'so',
      obstacles: [],
      warnings: [{ code: 'clocks-differ', text: 'why' }],
      position: POSITION,
      pauseMs: 4.5,
    },
    `{"kind":"answered","command":"c1","outcome":"done","text":"so","obstacles":[],"warnings":[{"code":"clocks-differ","text":"why"}],"position":${POSITION_JSON},"pauseMs":4.5}`,
  ],
  raise: [{ kind: 'raise', epoch: NAME, epochs: [EPOCH] }, `{"kind":"raise","epoch":${NAME_JSON},"epochs":[${EPOCH_JSON}]}`],
  promised: [
    { kind: 'promised', epoch: NAME, position: POSITION, digest: '89abcdef01234567', epochs: [EPOCH], known: [POSITION] },
    `{"kind":"promised","epoch":${NAME_JSON},"position":${POSITION_JSON},"digest":"89abcdef01234567","epochs":[${EPOCH_JSON}],"known":[${POSITION_JSON}]}`,
  ],
  'not-promised': [
    { kind: 'not-promised', epoch: NAME, text: 'why', highest: NAME },
    `{"kind":"not-promised","epoch":${NAME_JSON},"text":"why","highest":${NAME_JSON}}`,
  ],
  lend: [{ kind: 'lend', after: POSITION }, `{"kind":"lend","after":${POSITION_JSON}}`],
  'not-lent': [{ kind: 'not-lent', text: 'why' }, '{"kind":"not-lent","text":"why"}'],
};

test.for(Object.entries(roles))('%s is written and read as the protocol says', ([, [message, json]]) => {
  expect(JSON.stringify(message)).toBe(json);
  const text = `{"from":"nørth","to":"south","message":${json}}`;
  expect(parseJson(roleSchema, Buffer.from(text), 'role')).toEqual({ from: 'nørth', to: 'south', message });
});

test.for<RoleMessage>([
  { kind: 'consent', command: 'c1', obstacles: [], syncMs: 0.5 },
  { kind: 'told', command: 'c1', outcome: 'done', text: '' },
  { kind: 'answered', command: 'c1', outcome: 'done', text: 'so', obstacles: [], position: POSITION, pauseMs: null },
])('$kind may come without what only a preflight looks at', message => {
  expect(parseJson(roleSchema, Buffer.from(JSON.stringify({ from: 'a', to: 'b', message })), 'role').message).toEqual(message);
});

test.for<[string, object, RegExp]>([
  ['of no known kind', { message: { kind: 'crown' } }, /role whose message.kind/],
  ['that leaves something out', { message: { kind: 'raise' } }, /role whose message.epoch/],
  ['that names nobody', { from: '' }, /role whose from/],
  ['with a command of 65 characters', { message: { kind: 'ask', command: 'x'.repeat(65) } }, /role whose message.command/],
  ['with an obstacle that is none', { message: { ...roles.consent[0], obstacles: ['x'] } }, /role whose message.obstacles.0/],
])('one %s is refused', ([, more, says]) => {
  const bytes = Buffer.from(JSON.stringify({ from: 'a', to: 'b', message: roles.raise[0], ...more }));
  expect(() => parseJson(roleSchema, bytes, 'role')).toThrow(says);
});
