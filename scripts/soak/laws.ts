import { rm } from 'node:fs/promises';
import { type ExactPosition, isEvertreeError, openStore, parseWhen, replayDirectory, verifyDirectory } from 'evertree';
import type { Chance } from '../../test/simulation/chance.ts';
import { type HistoryLine, type Ids, Past, differenceOf, idsOf, positionText } from './past.ts';
import type { SoakSite, Told } from './sites.ts';
import type { Writes } from './writes.ts';

const SHOWN = 8;

interface ListedDivergence {
  readonly name: string;
  readonly commits: number;
  /** What retention had deleted before it was kept. */
  readonly missing: { readonly base: { readonly revision: number }; readonly last: { readonly revision: number } } | null;
}

/** A line of a divergence's export. */
interface KeptCommit {
  readonly position: { readonly epoch: number; readonly revision: number };
  readonly epochId: string;
  readonly message?: string;
  readonly operations: readonly (readonly [string, string, { readonly id: string }?])[];
}

/** What has to hold whenever all sites follow one primary and nobody writes. */
export class Laws {
  readonly #writes: Writes;
  readonly #mayDiverge: boolean;
  readonly #fault: (what: string) => void;
  /** By id the position at which a write stood on all sites: it stands there for ever. */
  readonly #standing = new Map<string, string>();
  /** Ids in divergences, of the last check. */
  #kept = new Set<string>();
  /** Revisions whose commits retention deleted before a check saw them. */
  readonly #gaps: { readonly after: number; readonly to: number }[] = [];
  /** Ids of writes that were answered for at such a revision, and are nowhere. */
  readonly #dropped = new Set<string>();
  /** What each check found: the last one need not reach back to the one before. */
  readonly #pasts: Past[] = [];
  /** The newest epochs at the last check. */
  #epochs: Told['epochs'] = [];

  /** @param mayDiverge whether sites are promoted without their primary */
  constructor(writes: Writes, mayDiverge: boolean, fault: (what: string) => void) {
    this.#writes = writes;
    this.#mayDiverge = mayDiverge;
    this.#fault = fault;
  }

  /** Writes of which it is not known what became of them: retention dropped the history. */
  get unproven(): number {
    return this.#dropped.size;
  }

  /** Of the last check. */
  get past(): Past | undefined {
    return this.#pasts.at(-1);
  }

  /** What stood at a position of the history that goes on; undefined for another one, and where no check has seen it. */
  stateAt({ epochId, revision }: ExactPosition): Ids | undefined {
    const index = this.#epochs.findIndex(({ id }) => id === epochId);
    const end = this.#epochs[index + 1]?.base.revision ?? Infinity;
    if (index < 0 || revision > end) return undefined;
    return this.#pasts.find(past => past.near(revision) !== undefined)?.near(revision);
  }

  /** All sites stand at one position. */
  async check(sites: readonly SoakSite[], chance: Chance): Promise<void> {
    const trees = await Promise.all(sites.map(site => site.ask('GET', '/data')));
    if (trees.some(({ text }) => text !== trees[0]!.text)) this.#fault('the trees differ');
    const told = await Promise.all(sites.map(site => site.status()));
    this.#epochs = told[0]?.epochs ?? [];
    const tables = told.map(each => JSON.stringify(each?.epochs));
    if (new Set(tables).size > 1) this.#fault(`the tables of epochs differ: ${tables.join(' and ')}`);
    const ids = idsOf((JSON.parse(trees[0]!.text) as { readonly k?: unknown }).k);
    const pasts: Past[] = [];
    for (const [index, site] of sites.entries()) {
      const isWhole = told[index]?.history.from.position.revision === 0;
      pasts.push(new Past(ids, await site.lines<HistoryLine>('/history?path=/k'), isWhole));
    }
    const past = pasts.reduce((longest, each) => (each.commits.length > longest.commits.length ? each : longest));
    for (const [index, each] of pasts.entries()) {
      const difference = each.differenceTo(past);
      if (difference !== undefined) this.#fault(`the history of ${sites[index]!.site} differs: ${difference}`);
    }
    this.#kept = new Set();
    this.#follow(past);
    for (const site of sites) await this.#checkDivergences(site);
    this.#checkWrites();
    const asked = chance.below(sites.length);
    await this.#checkMoment(sites[asked]!, pasts[asked]!, past, chance);
    await this.#verify(chance.pick(sites));
  }

  /** No process runs any more. */
  async checkDirectories(sites: readonly SoakSite[], chance: Chance): Promise<void> {
    for (const site of sites) await this.#verify(site);
    const { data, site } = chance.pick(sites);
    const commit = this.past === undefined || !this.past.isWhole ? undefined : chance.pick(this.past.commits);
    if (commit === undefined) return;
    const into = `${data}-replayed`;
    try {
      await replayDirectory(data, into, { to: parseWhen(commit.position, Date.now()) });
    } catch (error) {
      // The history of a site that took a full copy begins with it.
      if (!isEvertreeError(error, 'COMPACTED')) throw error;
      const { base } = error.details as { readonly base: ExactPosition };
      if (commit.revision >= base.revision) this.#fault(`${site} does not reach ${commit.position}, though it begins at ${base.revision}`);
      return;
    }
    await using store = await openStore({ data: into });
    const difference = differenceOf(idsOf(store.get('/k')), this.past!.at(commit.position));
    if (difference !== undefined) this.#fault(`a replay of ${site} up to ${commit.position} is wrong: ${difference}`);
    else await rm(into, { recursive: true });
  }

  /** What stood before stands, and nothing that was refused or stands already was added. */
  #follow(past: Past): void {
    const before = this.past;
    const known = new Map(past.commits.map(commit => [commit.position, commit]));
    const first = past.commits[0]?.revision ?? Infinity;
    for (const commit of before?.commits ?? []) {
      if (commit.revision < first) continue;
      if (JSON.stringify(known.get(commit.position)) !== JSON.stringify(commit))
        this.#fault(`${JSON.stringify(commit)} stood and does not any more`);
    }
    const last = before?.commits.at(-1)?.revision ?? 0;
    if (!past.isWhole) this.#gaps.push({ after: last, to: first - 1 });
    for (const { position, revision, isReplay, values } of past.commits) {
      if (revision <= last) continue;
      for (const [, id] of values) {
        if (!isReplay) this.#expectAllowed(id, position);
        if (!isReplay && this.#standing.has(id)) this.#fault(`${id} stands at ${this.#standing.get(id)} and at ${position}`);
        this.#standing.set(id, position);
      }
    }
    this.#pasts.push(past);
  }

  /** A write may stand, or be kept, at this position. */
  #expectAllowed(id: string, position: string): void {
    const write = this.#writes.byId.get(id);
    if (write === undefined) this.#fault(`${id} at ${position} was written by nobody`);
    else if (write.outcome === 'refused') this.#fault(`${id} at ${position} was refused with ${write.answer}`);
    else if ((write.position ?? position) !== position) this.#fault(`${id} is at ${position}, and the answer was ${write.position}`);
  }

  async #checkDivergences(site: SoakSite): Promise<void> {
    const { text } = await site.ask('GET', '/divergences');
    const { divergences } = JSON.parse(text) as { readonly divergences: readonly ListedDivergence[] };
    if (divergences.length > 0 && !this.#mayDiverge) this.#fault(`${site.site} keeps divergences: ${text}`);
    for (const { name, commits, missing } of divergences) {
      if (missing !== null) this.#gaps.push({ after: missing.base.revision, to: missing.last.revision });
      const kept = await site.lines<Partial<KeptCommit>>(`/divergences/${name}/export`);
      const found = kept.filter((line): line is KeptCommit => line.position !== undefined);
      if (found.length !== commits) this.#fault(`${name} at ${site.site} has ${found.length} commits, and tells of ${commits}`);
      for (const { position, operations, message = '' } of found) {
        for (const [, path, value] of operations) {
          if (!path.startsWith('/k/') || value === undefined) continue;
          this.#kept.add(value.id);
          if (!message.startsWith('replay of ')) this.#expectAllowed(value.id, positionText(position));
        }
      }
    }
  }

  /** Each write that was answered for stands, or is kept. */
  #checkWrites(): void {
    const nowhere = [...this.#writes.byId.values()].filter(
      ({ id, outcome }) => outcome === 'done' && !this.#standing.has(id) && !this.#kept.has(id),
    );
    const lost = nowhere.filter(({ position = '' }) => {
      const revision = Number(position.split('-')[1]);
      return !this.#gaps.some(({ after, to }) => after < revision && revision <= to);
    });
    for (const { id } of nowhere) this.#dropped.add(id);
    if (lost.length === 0) return;
    const shown = lost.slice(0, SHOWN).map(({ id, site, position, answer }) => `${id} at ${site}, ${answer}, ${position}`);
    this.#fault(`${lost.length} writes that were answered for are nowhere: ${shown.join('; ')}`);
  }

  /** A site gives back the state of a moment. @param own what it holds itself: the moment may lie before that */
  async #checkMoment(site: SoakSite, own: Past, past: Past, chance: Chance): Promise<void> {
    const { position } = past.commits[chance.below(past.commits.length)] ?? {};
    if (position === undefined) return;
    const { status, text } = await site.ask('GET', `/data/k?at=${position}`);
    if (status === 410 && !own.isWhole) return;
    const difference = status === 200 ? differenceOf(idsOf(JSON.parse(text)), past.at(position)) : `${status} ${text.slice(0, 500)}`;
    if (difference !== undefined) this.#fault(`${site.site} at ${position} is wrong: ${difference}`);
  }

  async #verify({ site, data }: SoakSite): Promise<void> {
    const { damages } = await verifyDirectory(data);
    if (damages.length > 0) this.#fault(`the directory of ${site} is not sound: ${JSON.stringify(damages.slice(0, SHOWN))}`);
  }
}
