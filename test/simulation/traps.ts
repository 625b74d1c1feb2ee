import { compareEpochs, highestEpoch } from '@evertree/core';
import type { EpochName, ErrorCode, ExactPosition, Message, Reason, Report, Store } from '@evertree/core';
import type { SimulatedSite } from './site.ts';

/** Situations in which other systems lost something; the simulation has to get into each of them. */
export const TRAPS = [
  'the lead goes from a site on one wire to a site on the other',
  'a reader of a topic goes on from a snapshot, as retention took what it lacks',
  'a process ends before the first frame of its epoch is durable',
  'a rewind was interrupted by the end of its process',
  'the winner never saw the last epoch of the loser',
  'a third site was ahead of the winner',
  'one revision in two histories meets',
  'two epochs of one number meet',
  'a promoter hears of a higher revision in an older epoch',
  'a write is refused by a site that was told of another epoch',
  'a write is refused while roles are switched',
  'a site takes writes after its switchover was abandoned',
  'a lower primary says hello to a higher one',
  'a handover that nothing follows survives a restart',
  'a switchover was cancelled',
  'a site goes on after a stall, and was deposed meanwhile',
  'a site goes on after its machine slept, and was deposed meanwhile',
  'a clock steps while a change of roles is under way',
  'a frame of a lower epoch arrives after a promise',
  'an acknowledgement of an older epoch arrives',
  'a commit was made, and its writer is told that another epoch may lack it',
  'an empty primary meets a secondary that is not',
  'a site is promoted without having heard the others',
  'the power fails while commits wait for the disk',
  'a writer stops waiting for secondaries',
] as const;

type Trap = (typeof TRAPS)[number];

/** Looks at what happens, and marks the traps that a history got into. */
export class TrapWatch {
  readonly #mark: (trap: Trap) => void;
  /** The site whose epoch began last. */
  #leader: SimulatedSite | undefined;

  constructor(mark: (trap: Trap) => void) {
    this.#mark = mark;
  }

  delivered(to: SimulatedSite, message: Message): void {
    const store = to.running?.store;
    if (store === undefined) return;
    const own = highestEpoch(store.epochs, store.position);
    if (message.type === 'hello') this.#hello(store, own, message);
    else if (message.type === 'frame') this.#frame(store, message);
    else if (message.type === 'acknowledge' && message.durable.epoch < own.number && message.durable.revision > 0) {
      this.#mark('an acknowledgement of an older epoch arrives');
    } else if (message.type === 'role' && message.message.kind === 'promised') {
      const { position, epochs } = message.message;
      if (highestEpoch(epochs, position).number < own.number && position.revision > store.position.revision) {
        this.#mark('a promoter hears of a higher revision in an older epoch');
      }
    }
  }

  #hello(store: Store, own: EpochName, { hello }: Extract<Message, { type: 'hello' }>): void {
    const told = highestEpoch(hello.epochs, hello.position);
    const { position } = store;
    if (hello.position.revision > 0 && hello.position.revision === position.revision && hello.position.epochId !== position.epochId) {
      this.#mark('one revision in two histories meets');
    }
    if (told.number > 0 && told.number === own.number && told.id !== own.id) this.#mark('two epochs of one number meet');
    if (hello.role !== 'primary') return;
    if (store.standing === 'primary' && told.number > 0 && told.number < own.number)
      this.#mark('a lower primary says hello to a higher one');
    if (hello.position.revision === 0 && position.revision > 0) this.#mark('an empty primary meets a secondary that is not');
  }

  #frame(store: Store, { bytes }: Extract<Message, { type: 'frame' }>): void {
    const { fencedBy } = store.journal.identity;
    const number = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUInt32LE(24);
    if (fencedBy !== undefined && number < fencedBy.number) this.#mark('a frame of a lower epoch arrives after a promise');
  }

  reported(site: SimulatedSite, { event, details }: Report): void {
    if (event === 'reign-begun') {
      if (this.#leader !== undefined && this.#leader.wire !== site.wire)
        this.#mark('the lead goes from a site on one wire to a site on the other');
      this.#leader = site;
    }
    if (event === 'resync' && site.wire === 'topic' && (details as { readonly reason: Reason }).reason.code === 'retention-passed') {
      this.#mark('a reader of a topic goes on from a snapshot, as retention took what it lacks');
    }
    if (event === 'handing-over') this.#mark('a handover that nothing follows survives a restart');
    if (event !== 'history-rewound') return;
    const { from, fork } = details as { readonly from: ExactPosition; readonly fork: ExactPosition };
    const { epochs = [] } = site.running?.store ?? {};
    if (from.epochId !== fork.epochId) this.#mark('the winner never saw the last epoch of the loser');
    if (epochs.find(({ id }) => id === from.epochId)?.site !== site.name) this.#mark('a third site was ahead of the winner');
  }

  refused(code: string): void {
    if (code === 'FENCED') this.#mark('a write is refused by a site that was told of another epoch');
    if (code === 'SWITCHING') this.#mark('a write is refused while roles are switched');
  }

  /** A commit was made, and its writer was told this instead of a promise. */
  disappointed(refusal: ErrorCode): void {
    if (refusal === 'FENCED') this.#mark('a commit was made, and its writer is told that another epoch may lack it');
    if (refusal === 'ACKNOWLEDGEMENT_TIMEOUT') this.#mark('a writer stops waiting for secondaries');
  }

  dies({ running }: SimulatedSite, how: 'killed' | 'power-loss'): void {
    const { log } = running?.store.journal ?? {};
    if (running === undefined || log === undefined) return;
    if (log.stable.epoch < running.store.position.epoch) this.#mark('a process ends before the first frame of its epoch is durable');
    if (how === 'power-loss' && log.pendingBytes > 0) this.#mark('the power fails while commits wait for the disk');
  }

  opens(files: readonly string[]): void {
    if (files.includes('rewind.json')) this.#mark('a rewind was interrupted by the end of its process');
  }

  /** @param known every epoch that anybody has told of */
  resumed({ running }: SimulatedSite, known: Iterable<EpochName>): void {
    if (running?.store.standing !== 'primary') return;
    const own = highestEpoch(running.store.epochs, running.store.position);
    if (![...known].some(epoch => compareEpochs(epoch, own) > 0)) return;
    if (running.process.isSuspended) this.#mark('a site goes on after its machine slept, and was deposed meanwhile');
    else if (running.process.isStalled) this.#mark('a site goes on after a stall, and was deposed meanwhile');
  }

  clockStepped({ running }: SimulatedSite): void {
    if (running?.roles.status !== undefined) this.#mark('a clock steps while a change of roles is under way');
  }

  told(outcome: 'promoted-unheard' | 'cancelled' | 'writes-again'): void {
    if (outcome === 'promoted-unheard') this.#mark('a site is promoted without having heard the others');
    else if (outcome === 'cancelled') this.#mark('a switchover was cancelled');
    else this.#mark('a site takes writes after its switchover was abandoned');
  }
}
