import { describe, expect, it } from 'vitest';
import { ORIGIN, type Epoch, type ExactPosition } from '../position.ts';
import { PROTOCOL_VERSIONS, type Hello } from '../seams/transport.ts';
import { EvertreeError } from '../errors.ts';
import type { EpochName, Fencing } from '../lineage.ts';
import { systemClock } from '../../../../test/support/host.ts';
import { collectReports } from '../../../../test/support/reports.ts';
import { HeardEpochs, type HearingStore } from './heard-epochs.ts';

const STREAM = 'aa'.repeat(16);
const [A, B] = ['aa'.repeat(8), 'bb'.repeat(8)];

function hello(number: number, more: Partial<Hello> = {}): Hello {
  const position: ExactPosition = { epoch: number, epochId: A, revision: 9 };
  const epochs: Epoch[] = [{ number, id: A, site: 'there', base: ORIGIN, reason: '', time: 0 }];
  return {
    protocols: PROTOCOL_VERSIONS,
    program: 'test',
    site: 'there',
    role: 'secondary',
    stream: STREAM,
    position,
    digest: 'd',
    epochs,
    durable: true,
    standing: 'secondary',
    standby: false,
    ...more,
  };
}

/** What of a site its disk holds. */
interface Recorded {
  readonly site: string;
  heard: EpochName | undefined;
  hear(epoch: EpochName): Promise<void>;
}

type TestedStore = HearingStore & { readonly journal: { readonly identity: Recorded } };

/** At epoch 1, and fenced by whatever is given. */
function storeOf(recorded: Partial<Recorded> = {}, more: Partial<HearingStore> = {}): TestedStore {
  const identity: Recorded = {
    site: 'here',
    heard: undefined,
    hear: async epoch => {
      identity.heard = epoch;
    },
    ...recorded,
  };
  const { epochs, position } = hello(1);
  const { report } = collectReports();
  return { stream: STREAM, epochs, position, fencedBy: undefined, clock: systemClock, report, ...more, journal: { identity } };
}

function heardFrom(...hellos: Hello[]): HeardEpochs {
  const heard = new HeardEpochs(storeOf());
  for (const each of hellos) heard.hear(each);
  return heard;
}

describe('the epochs that a site heard of', () => {
  it('are known by the highest number, in whatever order they come', () => {
    expect(heardFrom().number).toBe(0);
    expect(heardFrom(hello(2), hello(4), hello(3)).number).toBe(4);
  });

  it('include those that are promised, and the one that a handover leaves to its target', () => {
    expect(heardFrom(hello(2, { fencedBy: { number: 5, id: B, begun: false } })).number).toBe(5);
    const [entry] = hello(2).epochs;
    const handedOver = (to: string) => hello(2, { epochs: [{ ...entry!, end: { to, command: 'c' } }] });
    expect(heardFrom(handedOver('elsewhere')).number).toBe(3);
    expect(heardFrom(handedOver('here')).number, 'it may be begun here').toBe(2);
  });

  it('are those of this stream only', () => {
    expect(heardFrom(hello(2, { stream: 'bb'.repeat(16) })).number).toBe(0);
    const empty = new HeardEpochs(storeOf({}, { stream: null }));
    empty.hear(hello(2, { stream: null }));
    expect(empty.number).toBe(0);
  });

  it('surpass an epoch of their number or a lower one', () => {
    const heard = heardFrom(hello(2));
    expect([1, 2, 3].map(number => heard.surpass({ number, id: B }))).toEqual([true, true, false]);
  });

  it('do not surpass the epoch whose promise they are, unless another one has its number', () => {
    const promised = (id: string) => hello(1, { fencedBy: { number: 2, id, begun: false } });
    expect(heardFrom(promised(A), promised(A)).surpass({ number: 2, id: A })).toBe(false);
    expect(heardFrom(promised(A), promised(B)).surpass({ number: 2, id: A })).toBe(true);
    expect(heardFrom(promised(A), promised(B), promised(A)).surpass({ number: 2, id: A })).toBe(true);
    expect(heardFrom(promised(A), hello(2)).surpass({ number: 2, id: A })).toBe(true);
  });
});

/** What was due is done. */
const later = async () => {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>(resolve => setImmediate(resolve));
};

describe('what a site heard of epochs', () => {
  it('is recorded, and known after a restart', async () => {
    const store = storeOf();
    new HeardEpochs(store).hear(hello(4, { fencedBy: { number: 6, id: B, begun: false } }));
    await later();
    expect(store.journal.identity.heard).toEqual({ number: 6, id: B });
    const again = new HeardEpochs(store);
    expect([again.number, again.surpass({ number: 6, id: B }), again.surpass({ number: 6, id: A })]).toEqual([6, false, true]);
  });

  it('is not written down where the history, or the fence, tells as much', async () => {
    const store = storeOf({}, { fencedBy: { number: 3, id: B, begun: true } });
    const heard = new HeardEpochs(store);
    for (const number of [1, 2, 3]) heard.hear(hello(number));
    await later();
    expect([heard.number, store.journal.identity.heard]).toEqual([3, undefined]);
    heard.hear(hello(4));
    await later();
    expect(store.journal.identity.heard?.number).toBe(4);
  });

  it('is not written down where its own hello fences the site', async () => {
    const fence: { by?: Fencing } = {};
    const store = Object.defineProperty(storeOf(), 'fencedBy', { get: () => fence.by });
    new HeardEpochs(store).hear(hello(4));
    fence.by = { number: 4, id: A, begun: true };
    await later();
    expect(store.journal.identity.heard).toBe(undefined);
  });

  it('is written one at a time, the newest after the present one', async () => {
    const writes: { readonly number: number; readonly written: () => void }[] = [];
    const store = storeOf({
      hear: epoch =>
        new Promise(resolve => {
          const written = () => {
            store.journal.identity.heard = epoch;
            resolve();
          };
          writes.push({ number: epoch.number, written });
        }),
    });
    const heard = new HeardEpochs(store);
    heard.hear(hello(2));
    await later();
    for (const number of [3, 4, 5]) heard.hear(hello(number));
    expect(writes.map(({ number }) => number)).toEqual([2]);
    writes[0]!.written();
    await later();
    expect(writes.map(({ number }) => number)).toEqual([2, 5]);
  });

  it('is tried again at the next hello where a disk did not take it, and that is reported', async () => {
    const { reports, report } = collectReports();
    let isFull = true;
    const store = storeOf({
      hear: async epoch => {
        if (isFull) throw new EvertreeError('STORAGE_FULL', 'no room');
        store.journal.identity.heard = epoch;
      },
    });
    const heard = new HeardEpochs({ ...store, report });
    heard.hear(hello(2));
    await later();
    expect([heard.number, store.journal.identity.heard]).toEqual([2, undefined]);
    expect(reports).toMatchObject([{ level: 'warn', event: 'heard-not-recorded', message: expect.stringContaining('epoch 2') as unknown }]);
    isFull = false;
    heard.hear(hello(1));
    await later();
    expect(store.journal.identity.heard?.number).toBe(2);
  });
});
