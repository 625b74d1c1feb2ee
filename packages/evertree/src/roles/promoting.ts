import type { Consumer, ConsumerState } from '@evertree/consumer';
import {
  type EpochName,
  EvertreeError,
  type ExactPosition,
  type Fencing,
  type RoleMessage,
  type Store,
  type Transport,
  covers,
  highestEpoch,
} from '@evertree/core';
import type { LastPrimary, PossibleLoss } from './losses.ts';
import type { PromotionAction, PromotionEvent } from './promotion-events.ts';
import type { PromotionFacts, PromotionGround, PromotionObstacle } from './promotion-facts.ts';
import { PromotionMachine, type PromotionStep } from './promotion-machine.ts';
import { Raising } from './raising.ts';
import { type RoleContext, describe, drawId, nextEpochNumber, reportReign } from './role-context.ts';

/** A primary is linked, and answers. */
const LINKED: ReadonlySet<ConsumerState> = new Set(['catching-up', 'replicating', 'snapshot', 'rewinding']);

export interface PromoteOptions {
  readonly dryRun?: boolean;
  /** The plan hash of a dry run: refused if the facts have changed since. */
  readonly confirm?: string;
  /** In spite of the obstacles that can be forced. */
  readonly force?: boolean;
}

/** What a promotion would do. */
export interface PromotionForecast extends PromotionFacts {
  readonly possible: boolean;
  /** The plan hash. */
  readonly confirm: string;
}

/** What a promotion did. */
export interface PromotionResult {
  readonly epoch: EpochName;
  /** Of the epoch's first frame. */
  readonly position: ExactPosition;
  readonly lost: PossibleLoss;
  /** Sites and addresses that did not promise: what they acknowledged to an older primary can't be ruled out. */
  readonly unheard: readonly string[];
}

/** A promotion of this site: carries out what its `PromotionMachine` decides. */
export class Promoting {
  readonly #context: RoleContext;
  readonly #machine: PromotionMachine;
  readonly #id: string;
  readonly #result = Promise.withResolvers<PromotionResult | PromotionForecast>();
  #raising: Raising | undefined;
  #timer: Disposable | undefined;

  constructor(context: RoleContext, { dryRun = false, confirm, force = false }: PromoteOptions) {
    this.#context = context;
    this.#id = drawId(context.store);
    this.#machine = new PromotionMachine({ dryRun, confirm, force, id: this.#id }, context.limits);
    // Whoever asked awaits it; nobody else has to.
    this.#result.promise.catch(() => undefined);
  }

  get step(): PromotionStep {
    return this.#machine.step;
  }

  /** @throws EvertreeError WRONG_ROLE with the obstacles and facts when it is refused; what the store throws */
  get result(): Promise<PromotionResult | PromotionForecast> {
    return this.#result.promise;
  }

  async begin(program: string): Promise<void> {
    try {
      const transports = (await this.#context.factory.dial?.()) ?? [];
      const number = nextEpochNumber(this.#context.store);
      this.#raising = new Raising({
        context: this.#context,
        transports,
        epoch: { number, id: this.#id },
        program,
        heard: event => this.#take(event),
      });
      this.#take({ type: 'begin', ground: groundOf(this.#context, transports) });
    } catch (error) {
      this.#take({ type: 'failed', why: describe(error) });
    }
  }

  stop(why: string): void {
    this.#take({ type: 'failed', why });
  }

  #take(event: PromotionEvent): void {
    const { step } = this;
    for (const action of this.#machine.take(event)) this.#carryOut(action);
    if (step === this.step) return;
    if (this.step === 'over') this.#end();
    this.#context.changed();
  }

  #end(): void {
    this.#timer?.[Symbol.dispose]();
    void this.#raising?.close();
  }

  #carryOut(action: PromotionAction): void {
    switch (action.type) {
      case 'dial':
        return this.#raising?.open();
      case 'raise':
        this.#raising?.raise(action.epoch, action.sites);
        return void this.#promiseHere(action.epoch);
      case 'adopt':
        return void this.#raising?.adopt(action.from, action.extent);
      case 'begin-epoch':
        return void this.#beginEpoch(action.epoch);
      case 'after':
        this.#timer?.[Symbol.dispose]();
        this.#timer = this.#context.store.clock.after(action.ms, () => this.#take({ type: 'due' }));
        return;
      case 'foretell':
        return this.#result.resolve({ ...action.facts, possible: action.possible, confirm: action.confirm });
      case 'done': {
        const { epoch, position, lost, unheard } = action;
        reportReign(this.#context.store, epoch, 'by a promotion', 'warn');
        return this.#result.resolve({ epoch, position, lost, unheard });
      }
      case 'refuse':
        return void this.#refuse(action.why, action.facts, action.heard);
    }
  }

  /** This site's own promise: a lower primary is refused from now on, here as everywhere. */
  async #promiseHere(epoch: EpochName): Promise<void> {
    const { store } = this.#context;
    try {
      await store.prepareToLead(epoch);
      await store.flush();
      this.#take({ type: 'raised', epoch, own: { epochs: store.epochs, last: store.position } });
    } catch (error) {
      this.#take({ type: 'failed', why: describe(error) });
    }
  }

  async #beginEpoch(epoch: EpochName): Promise<void> {
    const { store, consumer } = this.#context;
    if (store.heardEpochs.surpass(epoch)) {
      return this.#take({ type: 'surpassed', by: store.heardEpochs.number, primary: lastPrimary(store, consumer) });
    }
    try {
      store.beginEpoch(epoch, 'promotion');
      const { position } = store;
      await store.flush();
      this.#take({ type: 'stable', position });
    } catch (error) {
      this.#take({ type: 'failed', why: describe(error) });
    }
  }

  async #refuse(why: string, facts: PromotionFacts | undefined, heard: Fencing | undefined): Promise<void> {
    const { store } = this.#context;
    const { site } = store;
    if (heard !== undefined) await noteEpoch(store, heard);
    const details = { site, ...(facts === undefined ? {} : { facts, obstacles: facts.obstacles }) };
    this.#result.reject(new EvertreeError('WRONG_ROLE', `${site} is not promoted: ${why}`, details));
  }
}

/** Never rejects: where the disk can't record an epoch that has begun, the site knows of it until it stops. */
async function noteEpoch(store: Store, { number, id, begun }: Fencing): Promise<void> {
  try {
    await store.fence({ number, id }, begun);
  } catch (error) {
    const message = `the disk of ${store.site} could not record epoch ${number} (${id}), which its promotion heard of: ${describe(error)}`;
    store.report({ level: 'error', event: 'fence-not-recorded', message, details: { epoch: { number, id }, error } });
  }
}

function groundOf({ store, factory, consumer }: RoleContext, transports: readonly Transport[]): PromotionGround {
  const { site, epochs, position: last, standing, state } = store;
  const obstacles: PromotionObstacle[] = [];
  if (standing === 'primary') obstacles.push({ code: 'primary-here', text: `${site} is the primary already`, lasting: true });
  if (state === 'full' || state === 'failed') {
    obstacles.push({ code: 'storage', text: store.stateReason?.message ?? `the storage of ${site} is ${state}`, lasting: true });
  }
  if (last.revision === 0) {
    obstacles.push({ code: 'empty', text: `${site} holds nothing that it could go on with`, lasting: true });
  }
  // A store without any file is fed by its owner, who knows whom he feeds.
  if (factory.primary === undefined && factory.standby !== undefined) {
    obstacles.push({ code: 'no-primary-file', text: `${site} has no primary file: as the primary it would feed nobody` });
  }
  const followed = consumer?.state;
  if (followed !== undefined && LINKED.has(followed.state)) {
    const name = followed.primary?.site ?? 'its primary';
    obstacles.push({
      code: 'primary-alive',
      text: `${site} is linked to ${name}, a primary that answers; use switchover: it loses nothing`,
    });
  }
  if (followed?.state === 'quarantined') {
    obstacles.push({ code: 'quarantined', text: `${site} holds back a frame that it could not apply; see its status` });
  }
  return {
    site,
    epochs,
    last,
    fencedBy: store.fencedBy,
    heardNumber: store.heardEpochs.number,
    obstacles,
    primary: lastPrimary(store, consumer),
    lastContact: followed?.lastContact ?? undefined,
    remotes: transports.flatMap(({ remotes }) => remotes),
    logs: transports.flatMap(({ farEnd, remotes }) => (farEnd.kind === 'log' ? remotes : [])),
  };
}

/** The primary that this site followed last, or handed over to. It has at least what this site has of its history. */
function lastPrimary({ site, epochs, position: last }: Store, consumer: Consumer | undefined): LastPrimary | undefined {
  const heard = consumer?.heard;
  if (heard !== undefined) {
    // A hello is as old as its link: frames have come since.
    const isPassed = covers({ epochs, last }, heard.last);
    const told = isPassed ? { epochs, last } : { epochs: heard.epochs, last: heard.last };
    const { unapplied } = heard;
    const isFurther =
      unapplied !== undefined && unapplied.last.epochId === told.last.epochId && unapplied.last.revision > told.last.revision;
    return { site: heard.site, heard: isFurther ? { epochs: told.epochs, last: unapplied.last } : told, unapplied };
  }
  const entry = epochs.at(-1);
  const other = entry?.end?.to ?? entry?.site;
  return other === undefined || other === site ? undefined : { site: other, heard: { epochs, last } };
}

/** Answers the questions of a promotion elsewhere. @param to the site that is being promoted */
export async function promise(
  { store }: RoleContext,
  to: string,
  { epoch, epochs }: Extract<RoleMessage, { kind: 'raise' }>,
): Promise<RoleMessage> {
  const highest = highestEpoch(store.epochs, store.position);
  // In memory: two that ask at one time get no promise of the same number.
  const { fencedBy } = store;
  if (highest.number > 0 && !epochs.some(({ number, id }) => number === highest.number && id === highest.id)) {
    const text = `${store.site} is in epoch ${highest.number} (${highest.id}), which the promoter never saw`;
    return { kind: 'not-promised', epoch, text, highest: { number: highest.number, id: highest.id } };
  }
  const isAgain = fencedBy?.number === epoch.number && fencedBy.id === epoch.id;
  const bar = Math.max(highest.number, fencedBy?.number ?? 0);
  if (!isAgain && epoch.number <= bar) {
    const known = fencedBy !== undefined && fencedBy.number === bar ? fencedBy : highest;
    const text = `${store.site} knows of epoch ${known.number} (${known.id})`;
    return { kind: 'not-promised', epoch, text, highest: { number: known.number, id: known.id } };
  }
  try {
    await store.fence(epoch, false);
    await store.flush();
  } catch (error) {
    return { kind: 'not-promised', epoch, text: `the disk of ${store.site} could not record it: ${describe(error)}` };
  }
  if (!isAgain) reportPromise(store, to, epoch);
  const { position, digest } = store.stable;
  const known = [...store.journal.leases.of('peer').values()].map(lease => lease.position);
  return { kind: 'promised', epoch, position, digest, epochs: store.epochs, known };
}

/** Said aloud: if the promoter dies before its epoch begins, nobody else knows why no site takes writes. */
function reportPromise({ site, standing, report }: Store, to: string, epoch: EpochName): void {
  const effect = standing === 'secondary' ? 'acknowledges nothing to an older primary' : 'takes no writes';
  const message =
    `${site} has promised epoch ${epoch.number} (${epoch.id}) to ${to}, which is being promoted: ${site} ${effect} until that epoch ` +
    `or a higher one begins. If ${to} dies before, promote a site again`;
  report({ level: 'warn', event: 'epoch-promised', message, details: { to, epoch } });
}
