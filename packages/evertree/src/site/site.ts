import type { Consumer, ConsumerState } from '@evertree/consumer';
import { Emitter, EvertreeError } from '@evertree/core';
import type { Divergences, ErrorEvents, KeptDivergence, Reason, Role, Standing, Store, StoreState } from '@evertree/core';
import { CopyLeases } from '@evertree/history';
import type { Producer } from '@evertree/producer';
import { Backups } from '../archive/backups.ts';
import type { SiteArchive } from '../archive/site-archive.ts';
import type { Acknowledgement, SiteConfiguration } from '../configuration/configuration.ts';
import { readConsumerConfiguration, readPrimaryConfiguration } from '../configuration/reading.ts';
import { type Reload, RunningConfigurations } from '../configuration/running.ts';
import type { SwitchoverResult } from '../roles/giving.ts';
import type { Part, PartFactory } from '../roles/part.ts';
import type { SwitchoverForecast } from '../roles/preflight.ts';
import type { PromoteOptions, PromotionForecast, PromotionResult } from '../roles/promoting.ts';
import type { RivalPrimary } from '../roles/rivals.ts';
import { RoleDriver, type SwitchStatus } from '../roles/role-driver.ts';
import type { SwitchoverOptions } from '../roles/switchovers.ts';
import type { ConsumerSource, ProducerSource } from './options.ts';
import { checkRoleOptions } from './role-options.ts';
import { letEngineThreadsYield } from './engine.ts';
import { PROGRAM, primaryPart, secondaryPart } from './parts.ts';
import { PlayedParts } from './played-parts.ts';
import { reloadTold } from './reloading.ts';
import type { StoreSettings } from './settings.ts';
import { raisingTransports } from './wire.ts';

/** How a site was opened. */
interface SiteOrigin {
  /** Where it lives; undefined in memory. */
  readonly directory?: string | undefined;
  readonly settings?: StoreSettings;
  readonly configurations?: RunningConfigurations;
  readonly archive?: SiteArchive | undefined;
  /** It is a secondary's directory, which becomes a primary's when the site starts. */
  readonly promotes?: boolean;
}

/** The store's state where it is not simply open, else a secondary's towards its primary. */
export type SiteState = StoreState | ConsumerState;

export interface SiteEvents extends ErrorEvents {
  /** The site plays another part, or none any more. */
  part(part: Part | undefined): void;
  /** It became a primary or a secondary. */
  role(role: Role): void;
  /** A change of roles came to another step; undefined: none is under way any more. */
  switch(status: SwitchStatus | undefined): void;
  /** Commits of this site that are not in the history that goes on were kept. */
  divergence(divergence: KeptDivergence): void;
  /** This site and another one were promoted independently of each other. */
  'two-primaries'(rival: RivalPrimary): void;
  /** `state` changed, or what a secondary tells beside it. */
  state(state: SiteState): void;
  /** A whole tree is about to travel, to this secondary or from this primary. */
  resync(resync: { readonly site: string; readonly reason: Reason }): void;
  /** The site can't go on by itself: its storage failed, or its part gave up the only way to the others. */
  failed(error: Error): void;
}

/**
 * A store and the part that the site plays on it now: a producer that feeds secondaries, or a consumer that follows a
 * primary. The part can be exchanged while the store stays open, so whoever wants to know it asks each time.
 *
 * One change of part is under way at a time; the others wait for it. Each part ends before the next one begins, and all
 * end before the store closes.
 */
export class Site implements AsyncDisposable {
  readonly store: Store;
  /** Where the site lives; undefined in memory. */
  readonly directory: string | undefined;
  /** Holds the history for copies of the directory that other tools make. */
  readonly copies: CopyLeases;
  /** Keeps the history elsewhere, continuously; undefined where the settings name no target. The store closes it. */
  readonly archive: SiteArchive | undefined;
  /** Backups that are asked for one by one. */
  readonly backups: Backups;
  /** How the store was opened: configurations that come later must agree. */
  readonly settings: StoreSettings;
  readonly #configurations: RunningConfigurations;
  /** Changes the roles, and keeps the parts open that the store's standing asks for. */
  readonly #roles: RoleDriver;
  readonly #promotes: boolean;
  readonly #events: Emitter<SiteEvents>;
  readonly #onStoreState: Disposable;
  readonly #parts: PlayedParts;
  /** The role that was told last. */
  #role: Role;
  #closing: Promise<void> | undefined;

  /** @param store the site's from now on: it closes it */
  constructor(
    store: Store,
    {
      directory,
      settings = NO_SETTINGS,
      configurations = new RunningConfigurations({}, () => ({})),
      promotes = false,
      archive,
    }: SiteOrigin = {},
  ) {
    this.store = store;
    this.copies = new CopyLeases(store);
    this.directory = directory;
    this.settings = settings;
    this.archive = archive;
    this.backups = new Backups(store, directory, archive);
    this.#configurations = configurations;
    this.#promotes = promotes;
    this.#events = new Emitter(store.report);
    this.#role = store.role;
    this.#onStoreState = store.on('state', () => this.#storeChanged());
    this.#parts = this.#makeParts();
    this.#roles = new RoleDriver({
      store,
      stage: { begin: part => this.join(part), end: part => this.#parts.inTurn(() => this.#parts.end(part)) },
      factory: this.#factory(),
      program: PROGRAM,
      advertised: () => this.#advertised,
      joined: () => this.consumer,
    });
    this.#roles.on('switch', status => this.#events.emit('switch', status));
    this.#roles.on('divergence', divergence => this.#events.emit('divergence', divergence));
    this.#roles.on('two-primaries', rival => this.#events.emit('two-primaries', rival));
    this.#roles.on('failed', error => this.#events.emit('failed', error));
  }

  get name(): string {
    return this.store.site;
  }

  get role(): Role {
    return this.store.role;
  }

  /** What the site is by its history, and by what it heard of others; finer than `role`. */
  get standing(): Standing {
    return this.store.standing;
  }

  /** The change of roles that is under way. */
  get switching(): SwitchStatus | undefined {
    return this.#roles.status;
  }

  /** The last site that was heard to have been promoted beside this one. */
  get rival(): RivalPrimary | undefined {
    return this.#roles.rival;
  }

  /** Commits of this site that are not in the history that goes on. */
  get divergences(): Divergences {
    return this.store.journal.divergences;
  }

  get state(): SiteState {
    const { store, consumer } = this;
    return store.state === 'open' && consumer !== undefined ? consumer.state.state : store.state;
  }

  /**
   * Why the site can't go on by itself; undefined as long as it can. Another part may help, unless the storage failed.
   */
  get failure(): Error | undefined {
    if (this.store.state === 'failed') return this.store.stateReason;
    return this.#parts.failure;
  }

  /**
   * What it plays now; undefined between two parts and where none was started. A primary that has a standby
   * configuration listens as well: that is told only when it is no primary any more, and does not feed.
   */
  get part(): Part | undefined {
    return this.#parts.present;
  }

  get producer(): Producer | undefined {
    const { part } = this;
    return part?.role === 'primary' ? part.producer : undefined;
  }

  get consumer(): Consumer | undefined {
    const { part } = this;
    return part?.role === 'secondary' ? part.consumer : undefined;
  }

  /** When all that was stable then was in an archive last, milliseconds since 1970; undefined if that is not known. */
  get lastBackup(): number | undefined {
    return Math.max(this.archive?.status.lastSuccess ?? 0, this.backups.lastCompleted ?? 0) || undefined;
  }

  /** What a write waits for that does not say so itself. */
  get acknowledgement(): Acknowledgement | undefined {
    const { part } = this;
    return part?.role === 'primary' ? part.acknowledgement : undefined;
  }

  on<Name extends keyof SiteEvents>(name: Name, listener: SiteEvents[Name]): Disposable {
    return this.#events.on(name, listener);
  }

  /**
   * Plays the parts that its standing asks for, as far as it has the configuration for them, and changes them with the
   * standing from now on. V8's own threads yield to all others of this process then, where the system knows how. Throws
   * as `startProducer` and `startConsumer`.
   */
  async start(): Promise<void> {
    letEngineThreadsYield();
    if (this.#promotes) await this.#roles.promote();
    await this.#roles.start();
  }

  /**
   * Lets another site lead, with nothing lost: writes are held here until it does. A dry run tells what stands in the
   * way, and how long writers would wait.
   * @throws EvertreeError NOT_PRIMARY where this site does not lead
   */
  switchover(options: SwitchoverOptions & { readonly dryRun: true }): Promise<SwitchoverForecast>;
  switchover(options?: SwitchoverOptions & { readonly dryRun?: false }): Promise<SwitchoverResult>;
  switchover(options?: SwitchoverOptions): Promise<SwitchoverResult | SwitchoverForecast>;
  async switchover(options: SwitchoverOptions = {}): Promise<SwitchoverResult | SwitchoverForecast> {
    checkRoleOptions(options, 'switchover');
    return this.#roles.switchover(options);
  }

  /**
   * Makes this site the primary although the present one does not hand over: commits that only that one has may be
   * lost. A dry run tells.
   * @throws EvertreeError WRONG_ROLE with the obstacles where it is refused
   */
  promote(options: PromoteOptions & { readonly dryRun: true }): Promise<PromotionForecast>;
  promote(options?: PromoteOptions & { readonly dryRun?: false }): Promise<PromotionResult>;
  promote(options?: PromoteOptions): Promise<PromotionResult | PromotionForecast>;
  async promote(options: PromoteOptions = {}): Promise<PromotionResult | PromotionForecast> {
    checkRoleOptions(options, 'promote');
    return this.#roles.promote(options);
  }

  /**
   * Plays a primary's part, in place of the present one.
   * @throws EvertreeError as `play`, and CONFIGURATION_INVALID with everything that is wrong
   */
  async startProducer(configuration: ProducerSource | readonly ProducerSource[]): Promise<Producer> {
    const checked = readPrimaryConfiguration(configuration);
    const part = await primaryPart(this, () => checked);
    await this.play(part);
    return part.producer;
  }

  /**
   * Plays a secondary's part, in place of the present one. The store is a secondary's for good then.
   * @throws EvertreeError as `startProducer`
   */
  async startConsumer(configuration: ConsumerSource): Promise<Consumer> {
    const checked = readConsumerConfiguration(configuration);
    const part = await secondaryPart(this, () => checked);
    await this.play(part);
    return part.consumer;
  }

  /**
   * Ends what the site plays, then begins a part that was not opened yet. If that can't begin, the site plays none.
   * @throws EvertreeError WRONG_ROLE when the store has the other role, CLOSED, and what opening the part throws
   */
  play(part: Part): Promise<void> {
    this.#roles.release();
    return this.#parts.inTurn(async () => {
      await this.#parts.endAll();
      await this.#begin(part);
    });
  }

  /** Begins a part beside those that are open. The caller closes it, `close` at the latest. Throws as `play`. */
  join(part: Part): Promise<void> {
    return this.#parts.inTurn(() => this.#begin(part));
  }

  /**
   * Ends what the site plays, does work, and then plays the same part again, made anew: also one that had given up, as
   * after a frame that could not be applied. The part is played again if the work fails, too.
   * @throws EvertreeError as `play`, and what the work throws
   */
  async pauseFor(work: () => Promise<void>): Promise<void> {
    if (this.#roles.keepsParts) return this.#roles.pauseFor(work);
    await this.#parts.inTurn(async () => {
      const { part } = this;
      await this.#parts.endAll();
      try {
        await work();
      } finally {
        const next = await part?.again?.();
        if (next !== undefined) await this.#begin(next);
      }
    });
  }

  /** What HTTP demands of its clients now. */
  get http(): SiteConfiguration['http'] {
    return this.#configurations.http;
  }

  /**
   * Reads the configurations that the site was opened with again, and takes their credentials over: tokens,
   * certificates, keys and authorities. Each new connection has them; those that are open go on. Parts that
   * `startProducer` or `startConsumer` began keep theirs.
   * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong: nothing has changed then
   */
  reload(): Reload {
    return reloadTold(this.#configurations, this.store.report);
  }

  /** Ends what the site plays; the store stays open. */
  stop(): Promise<void> {
    this.#roles.release();
    return this.#parts.inTurn(() => this.#parts.endAll());
  }

  /** Ends what the site plays, then closes the store. Idempotent. */
  close(): Promise<void> {
    const stopped = this.#roles.stop();
    return (this.#closing ??= this.#parts.inTurn(async () => {
      try {
        await stopped;
        await this.#parts.endAll();
      } finally {
        await this.store.close();
        this.#onStoreState[Symbol.dispose]();
      }
    }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #advertised(): string | undefined {
    const { primary, standby } = this.#configurations;
    return primary?.http.advertised ?? standby?.http.advertised;
  }

  /** What makes the parts of both roles, as far as the site has their configurations. */
  #factory(): PartFactory {
    const running = this.#configurations;
    const [hasPrimary, hasStandby] = [running.primary !== undefined, running.standby !== undefined];
    const [primary, standby] = [() => running.primary!, () => running.standby!];
    return {
      primary: hasPrimary ? role => primaryPart(this, primary, { standby: hasStandby, role }) : undefined,
      standby: hasStandby ? role => secondaryPart(this, standby, { standby: hasPrimary, role }) : undefined,
      dial: hasPrimary ? () => raisingTransports(this.store, primary) : undefined,
    };
  }

  #makeParts(): PlayedParts {
    const parts = new PlayedParts(this.store);
    parts.on('part', part => this.#events.emit('part', part));
    parts.on('tried', () => this.#tellRole());
    parts.on('state', () => this.#events.emit('state', this.state));
    parts.on('resync', resync => this.#events.emit('resync', resync));
    parts.on('failed', error => this.#events.emit('failed', error));
    return parts;
  }

  async #begin(part: Part): Promise<void> {
    if (this.#closing !== undefined) throw new EvertreeError('CLOSED', `the site ${this.name} is closed`);
    await this.#parts.begin(part);
  }

  #tellRole(): void {
    const { role } = this;
    if (role === this.#role) return;
    this.#role = role;
    this.#events.emit('role', role);
  }

  #storeChanged(): void {
    const { state, stateReason } = this.store;
    this.#tellRole();
    this.#parts.update();
    this.#events.emit('state', this.state);
    // It has to be opened anew, from what the disk holds.
    if (state === 'failed') this.#events.emit('failed', stateReason ?? new Error('the storage failed'));
  }
}

const NO_SETTINGS: StoreSettings = Object.freeze({ journal: Object.freeze({}), limits: Object.freeze({}), archive: Object.freeze({}) });
