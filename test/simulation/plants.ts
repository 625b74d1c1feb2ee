import { isEvertreeError, positionAt } from '@evertree/core';
import type { Commit, Divergence, ExactPosition, Journal, Message, Random, Store, StoredFrame, Transport } from '@evertree/core';
import { override, withLinks } from './overrides.ts';

/** A fault in Evertree itself, put around its parts: a simulation has to find it. */
export interface PlantedFault {
  readonly random?: (random: Random) => Random;
  readonly journal?: (journal: Journal) => void;
  readonly store?: (store: Store) => void;
  /** Of a secondary's transport, and of a primary's. */
  readonly following?: (transport: Transport) => Transport;
  readonly feeding?: (transport: Transport, store: Store) => Transport;
}

export const PLANTED_FAULTS: Readonly<Record<string, PlantedFault>> = {
  'acknowledge before the sync': {
    following: transport =>
      withLinks(transport, link =>
        override(link, 'send', send => message => {
          send(message.type === 'acknowledge' ? { ...message, durable: message.applied } : message);
        }),
      ),
  },
  'ignore the epoch': {
    store: store => {
      override(store, 'fence', () => async () => undefined);
      override(store, 'follow', () => async () => undefined);
    },
  },
  'reuse a revision': {
    random: random => ({
      fraction: () => random.fraction(),
      // Every id that a start or a promotion of this site draws is the same.
      bytes: length => (length === 8 ? new Uint8Array(8).fill(7) : random.bytes(length)),
    }),
  },
  'compare bare revisions': {
    feeding: (transport, store) =>
      withLinks(transport, link =>
        override(link, 'attach', attach => events => {
          attach({
            message: message => events.message(taken(message, store)),
            drained: () => events.drained(),
            closed: (reason, explanation, byPeer) => events.closed(reason, explanation, byPeer),
          });
        }),
      ),
  },
  'undo before the divergence is kept': { journal: journal => override(journal.log, 'rewind', undoFirst) },
  'leave the tree as it was when a large frame is taken': {
    store: store =>
      override(store, 'applyPrepared', applyPrepared => (prepared, trailer) => {
        const { result, base: root } = prepared;
        applyPrepared('error' in result ? prepared : { ...prepared, result: { ...result, root } }, trailer);
      }),
  },
  'forget at a restart what hellos told': { journal: journal => override(journal.identity, 'hear', () => async () => undefined) },
  'answer after being fenced': {
    store: store => override(store, 'transact', transact => (callback, options) => answeredAnyway(store, transact(callback, options))),
  },
};

/** What a secondary says, as a primary takes it that looks at revisions only. */
function taken(message: Message, store: Store): Message {
  const here = (position: ExactPosition) => positionAt(store.lineage, Math.min(position.revision, store.position.revision)) ?? position;
  if (message.type === 'acknowledge') return { ...message, applied: here(message.applied), durable: here(message.durable) };
  if (message.type !== 'hello' || message.hello.role === 'primary') return message;
  return { ...message, hello: { ...message.hello, position: here(message.hello.position), epochs: store.epochs } };
}

type Rewind = Journal['log']['rewind'];

function undoFirst(rewind: Rewind): Rewind {
  return async (position, keep, moved) => {
    let undone: Divergence | undefined;
    const frames: StoredFrame[] = [];
    const remember = async (divergence: Divergence) => {
      undone = divergence;
      for await (const stored of divergence.frames()) frames.push(stored);
    };
    await rewind(position, remember, moved);
    const late = async function* () {
      yield* frames;
    };
    if (undone !== undefined) await keep({ ...undone, frames: late });
  };
}

/** A commit whose promise of durability does not ask who leads. */
function answeredAnyway(store: Store, commit: Commit): Commit {
  const { durable } = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(commit) as Commit);
  Object.defineProperty(commit, 'durable', {
    get: () => evenIfFenced(store, async () => durable.get!.call(commit)),
  });
  return commit;
}

async function evenIfFenced(store: Store, told: () => Promise<void>): Promise<void> {
  try {
    await told();
  } catch (error) {
    if (!isEvertreeError(error, 'FENCED')) throw error;
    await store.journal.log.flush();
  }
}
