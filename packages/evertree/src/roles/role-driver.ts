import type { Consumer } from '@evertree/consumer';
import { Emitter, EvertreeError } from '@evertree/core';
import type { ErrorEvents, KeptDivergence, RoleMessage, Store } from '@evertree/core';
import type { Producer } from '@evertree/producer';
import type { SwitchoverResult } from './giving.ts';
import { ROLE_LIMITS, type RoleLimits } from './limits.ts';
import type { Part, PartFactory, PrimaryPart, Stage } from './part.ts';
import { PartKeeper } from './part-keeper.ts';
import type { SwitchoverForecast } from './preflight.ts';
import { type PromoteOptions, Promoting, type PromotionForecast, type PromotionResult, promise } from './promoting.ts';
import { type FollowedPrimary, type RoleContext, describe, drawId, nextEpochNumber, reportReign } from './role-context.ts';
import { type SwitchoverOptions, Switchovers } from './switchovers.ts';
import { LeaderNotice } from './leader-notice.ts';
import { type RivalPrimary, Rivals } from './rivals.ts';
import { Taking } from './taking.ts';

/** A change of roles that is under way. */
export interface SwitchStatus {
  readonly kind: 'switchover' | 'promotion';
  /** Undefined for a promotion. */
  readonly command: string | undefined;
  readonly step: string;
  readonly from: string | undefined;
  readonly to: string;
  /** When it came to that step, milliseconds since 1970. */
  readonly since: number;
}

export interface RoleEvents extends ErrorEvents {
  /** A change of roles came to another step; undefined: none is under way any more. */
  switch(status: SwitchStatus | undefined): void;
  /** Commits of this site that are not in the history that goes on were kept. */
  divergence(divergence: KeptDivergence): void;
  /** Two sites were promoted independently of each other. */
  'two-primaries'(rival: RivalPrimary): void;
  /** A part that the standing asks for could not be opened. */
  failed(error: Error): void;
}

export interface RoleDriverOptions {
  readonly store: Store;
  readonly stage: Stage;
  readonly factory: PartFactory;
  readonly limits?: Partial<RoleLimits>;
  /** The program's name and version, as the far ends are told. */
  readonly program?: string;
  readonly advertised?: () => string | undefined;
  /** A consumer that somebody else opened on the store. */
  readonly joined?: () => Consumer | undefined;
}

/**
 * Changes the roles of one site, and keeps open the parts that its standing asks for: DESIGN.md. The machines decide;
 * this brings them what happens.
 */
export class RoleDriver implements RoleContext {
  readonly store: Store;
  readonly factory: PartFactory;
  readonly limits: RoleLimits;
  readonly #options: RoleDriverOptions;
  readonly #events: Emitter<RoleEvents>;
  readonly #hooks = new DisposableStack();
  readonly #parts: PartKeeper;
  readonly #taking: Taking;
  readonly #switchovers: Switchovers;
  #promoting: Promoting | undefined;
  #status: SwitchStatus | undefined;
  /** The names of the divergences that were told of. */
  readonly #told = new Set<string>();
  #followed: FollowedPrimary | undefined;
  readonly #rivals: Rivals;
  readonly #leader: LeaderNotice;

  constructor(options: RoleDriverOptions) {
    const { store, stage, factory, limits } = options;
    this.store = store;
    this.factory = factory;
    this.limits = Object.freeze({ ...ROLE_LIMITS, ...limits });
    this.#options = options;
    this.#events = new Emitter(store.report);
    this.#rivals = new Rivals(store, rival => this.#events.emit('two-primaries', rival));
    this.#leader = new LeaderNotice(store);
    this.#taking = new Taking(this, () => this.#makePrimary());
    this.#switchovers = new Switchovers(this, this.#taking);
    this.#parts = new PartKeeper({
      store,
      stage,
      factory,
      primary: () => this.#preparedPrimary(),
      standby: () => factory.standby?.((from, message, reply) => this.#hear(from, message, reply)),
      isBeginning: () => this.#taking.isBeginning || this.#promoting?.step === 'beginning',
      opening: part => this.#listen(part),
      failed: error => this.#events.emit('failed', error),
    });
    for (const { name } of store.journal.divergences.list()) this.#told.add(name);
    this.#hooks.use(store.on('state', () => this.changed()));
    this.#hooks.use(store.on('advanced', () => this.#advanced()));
    this.#hooks.use(store.on('stable', () => this.#taking.stable()));
  }

  get producer(): Producer | undefined {
    return this.#parts.primary?.producer;
  }

  get consumer(): Consumer | undefined {
    return this.#parts.standby?.consumer ?? this.#options.joined?.();
  }

  get program(): string {
    return this.#options.program ?? 'evertree';
  }

  get advertised(): string | undefined {
    return this.#options.advertised?.();
  }

  get followed(): FollowedPrimary | undefined {
    return this.#followed;
  }

  /** The change of roles that is under way. */
  get status(): SwitchStatus | undefined {
    return this.#status;
  }

  /** The last site that was heard to begin epochs beside this one. */
  get rival(): RivalPrimary | undefined {
    return this.#rivals.last;
  }

  on<Name extends keyof RoleEvents>(name: Name, listener: RoleEvents[Name]): Disposable {
    return this.#events.on(name, listener);
  }

  /** Opens the parts that the standing asks for, and changes them with it. Throws what opening a part throws. */
  async start(): Promise<void> {
    this.#switchovers.resume();
    this.#tellStatus();
    await this.#parts.start();
  }

  /** Opens and closes no part any more. What is under way ends with its outcome unknown. */
  async stop(): Promise<void> {
    this.#hooks.dispose();
    const why = `the site ${this.store.site} stops`;
    this.#switchovers.stop(why);
    this.#taking.stop(new EvertreeError('CLOSED', why));
    this.#promoting?.stop(why);
    await this.#parts.stop();
  }

  /** Whether the parts follow the standing. */
  get keepsParts(): boolean {
    return this.#parts.isKeeping;
  }

  /**
   * Closes the open parts, does work, and opens them anew.
   * @throws EvertreeError WRONG_ROLE while a change of roles is under way; what the work throws
   */
  pauseFor(work: () => Promise<void>): Promise<void> {
    this.#assertQuiet();
    return this.#parts.pauseFor(work);
  }

  /** Leaves the parts to whoever opens others from now on. */
  release(): void {
    this.#parts.release();
  }

  /**
   * Lets another site lead, with nothing lost; or tells what became of the command, or what a switchover would meet. When
   * it is done, this site follows already, unless that takes longer than `answerMs`.
   * @throws EvertreeError NOT_PRIMARY where neither this site, nor one that it is linked to, leads
   */
  async switchover(options: SwitchoverOptions = {}): Promise<SwitchoverResult | SwitchoverForecast> {
    const result = await this.#switchovers.run(options);
    if ('outcome' in result && result.outcome === 'done') await this.#following();
    return result;
  }

  /** Resolves when a primary that handed over has become a secondary. One without a standby file never will. */
  async #following(): Promise<void> {
    const { store, factory, limits } = this;
    const isOnItsWay = () => store.standing === 'fenced' || store.standing === 'handing-over';
    if (factory.standby === undefined || !isOnItsWay()) return;
    const { promise: follows, resolve } = Promise.withResolvers<void>();
    using stack = new DisposableStack();
    stack.use(store.on('state', () => void (isOnItsWay() || resolve())));
    stack.use(store.clock.after(limits.answerMs, resolve));
    await follows;
  }

  /**
   * Makes this site the primary although the present one does not hand over. Commits that only that one has may be
   * lost: a dry run tells.
   * @throws EvertreeError WRONG_ROLE with the obstacles when it is refused
   */
  async promote(options: PromoteOptions = {}): Promise<PromotionResult | PromotionForecast> {
    this.#assertQuiet();
    const promoting = new Promoting(this, options);
    this.#promoting = promoting;
    try {
      await promoting.begin(this.program);
      return await promoting.result;
    } finally {
      this.#promoting = undefined;
      this.changed();
    }
  }

  /** A promotion and a repair both replace what the site stands on: one at a time. */
  #assertQuiet(): void {
    if (this.#parts.isPaused) throw new EvertreeError('WRONG_ROLE', `a repair is under way at ${this.store.site}; try again after it`);
    if (this.#promoting === undefined && !this.#taking.isBeginning) return;
    throw new EvertreeError('WRONG_ROLE', `a change of roles is under way at ${this.store.site}: ${this.#status?.step ?? 'beginning'}`);
  }

  /** The standing, a machine's step, or what a part tells changed. */
  changed(): void {
    this.#switchovers.giving?.storeChanged();
    this.#followLink();
    this.#leader.update(this.consumer?.state.primary);
    this.#rivals.heedFence();
    this.#tellDivergences();
    this.#tellStatus();
    this.#parts.changed();
  }

  /** One look for each frame, and only while a switchover is under way. */
  #advanced(): void {
    if (this.#taking.awaitsHandover) this.#taking.applied();
    this.#switchovers.giving?.storeChanged();
  }

  /** A role message that came over one of the parts' links. */
  #hear(from: string, message: RoleMessage, reply: (message: RoleMessage) => boolean): void {
    if (this.#switchovers.hear(from, message, reply)) return;
    if (message.kind === 'raise') void promise(this, from, message).then(reply);
    else this.#taking.hear(from, message);
  }

  #makePrimary(): Promise<PrimaryPart> | undefined {
    return this.factory.primary?.((from, message, reply) => this.#hear(from, message, reply));
  }

  #preparedPrimary(): Promise<PrimaryPart> | undefined {
    const prepared = this.#taking.takePrepared();
    return prepared === undefined ? this.#makePrimary() : Promise.resolve(prepared);
  }

  #listen(part: Part): void {
    if (part.role === 'primary') {
      part.producer.on('peer', () => this.#switchovers.giving?.peersChanged());
      part.producer.on('rival', ({ site, epoch }) => this.#rivals.meet(site, epoch));
      part.producer.on('reign-void', above => this.#reignAnew(above));
    } else {
      part.consumer.on('state', () => this.changed());
      part.consumer.on('rival', ({ site, epoch }) => this.#rivals.meet(site, epoch));
    }
  }

  /** This primary's epoch does not stand in a log: it goes on in a higher one, unless it leads no more, or hands over. */
  #reignAnew(above: number): void {
    const { store } = this;
    if (store.standing !== 'primary') return;
    const epoch = { number: Math.max(above + 1, nextEpochNumber(store)), id: drawId(store) };
    try {
      store.beginEpoch(epoch, 'claim');
      reportReign(store, epoch, 'anew: its epoch before did not stand in a log', 'warn');
    } catch (error) {
      const message = `${store.site} could not begin epoch ${epoch.number}, which a log asks for: ${describe(error)}`;
      store.report({ level: 'error', event: 'reign-not-begun', message, details: { epoch, error } });
    }
  }

  /** A consent, and a request, end with the link over which they were given. */
  #followLink(): void {
    const { state, primary } = this.consumer?.state ?? { state: 'listening', primary: null };
    const isLinked = primary !== null && state !== 'offline' && state !== 'listening';
    const link = isLinked ? { site: primary.site, remote: primary.remote } : undefined;
    const before = this.#followed;
    this.#followed = link;
    if (before === undefined || (link?.site === before.site && link.remote === before.remote)) return;
    this.#taking.lost(before.site);
    this.#switchovers.primaryLost();
  }

  #tellDivergences(): void {
    for (const divergence of this.store.journal.divergences.list()) {
      if (this.#told.has(divergence.name)) continue;
      this.#told.add(divergence.name);
      this.#events.emit('divergence', divergence);
    }
  }

  #tellStatus(): void {
    const status = this.#statusNow();
    const before = this.#status;
    if (status?.step === before?.step && status?.command === before?.command && status?.kind === before?.kind) return;
    this.#status = status;
    this.#events.emit('switch', status);
  }

  #statusNow(): SwitchStatus | undefined {
    const { site, clock } = this.store;
    const since = clock.now();
    const promoting = this.#promoting;
    if (promoting !== undefined && promoting.step !== 'over') {
      return { kind: 'promotion', command: undefined, step: promoting.step, from: undefined, to: site, since };
    }
    const { giving } = this.#switchovers;
    if (giving !== undefined) return { kind: 'switchover', command: giving.command, step: giving.step, from: site, to: giving.to, since };
    const { step, command } = this.#taking;
    if (command === undefined) return undefined;
    return { kind: 'switchover', command, step, from: this.#followed?.site, to: site, since };
  }
}
