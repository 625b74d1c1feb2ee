import { type Hello, PROTOCOL_VERSIONS, type Store } from '@evertree/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { memoryStore } from '../../../../test/support/stores.ts';
import { Giving } from '../../src/roles/giving.ts';
import { ROLE_LIMITS } from '../../src/roles/limits.ts';
import type { RoleContext } from '../../src/roles/role-context.ts';

/** What no simulation reaches: what a primary that hands over hears of is fenced there, but for a hello of a link that just closed. */

const COMMAND = 'c-1';

let store: Store;
let giving: Giving;
beforeEach(async () => {
  ({ store } = await memoryStore({ site: 'a' }));
  store.put('/a', 1);
  store.hold(COMMAND);
  await store.handOver('b', COMMAND);
  const context: RoleContext = {
    store,
    factory: {},
    limits: ROLE_LIMITS,
    producer: undefined,
    consumer: undefined,
    followed: undefined,
    program: 'test',
    advertised: undefined,
    changed: () => undefined,
  };
  giving = new Giving(context, { command: COMMAND, to: 'b', maxPauseMs: 1_000, resumed: true });
  giving.begin();
});
afterEach(() => store.close());

/** Of a site that has promised an epoch. */
function promised(number: number): Hello {
  const { stream, stable, epochs } = store;
  return {
    protocols: PROTOCOL_VERSIONS,
    program: 'test',
    site: 'c',
    role: 'secondary',
    stream,
    position: stable.position,
    digest: stable.digest,
    epochs,
    durable: true,
    standing: 'secondary',
    standby: true,
    fencedBy: { number, id: 'cc'.repeat(8), begun: false },
  };
}

/** The target declines. */
function withdraw(): ReturnType<Giving['result']> {
  const result = giving.result();
  giving.cancel();
  giving.hear({ kind: 'declined', command: COMMAND });
  return result;
}

describe('a switchover that is withdrawn', () => {
  test('goes on in the epoch after the one of its target, also where that one was heard of', async () => {
    store.heardEpochs.hear(promised(2));
    expect(await withdraw()).toMatchObject({ outcome: 'abandoned', text: expect.stringContaining('goes on as the primary') as unknown });
    expect([store.standing, store.position.epoch]).toEqual(['primary', 3]);
  });

  test.each([3, 4])('does not go on where another site was heard to take epoch %i', async number => {
    store.heardEpochs.hear(promised(number));
    expect(await withdraw()).toMatchObject({
      outcome: 'abandoned',
      text: expect.stringMatching(/does not go on as the primary: a has heard .* epoch \d, or was promised it\. Promote a site/) as unknown,
    });
    expect([store.standing, store.position.epoch]).toEqual(['handing-over', 1]);
  });
});
