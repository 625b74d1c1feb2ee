import type { Chance } from '../../test/simulation/chance.ts';
import { positionText } from './past.ts';
import type { SoakSite } from './sites.ts';

/** Answers after which a write may stand or not. */
const UNDECIDED = new Set(['CLOSED', 'STORAGE_FAILED', 'STORAGE_FULL', 'REQUEST_TIMEOUT']);
const KEYS_EACH = 4;
const SHARED_KEYS = 4;
/** After a write that was not taken; a site that is down is asked again after so long. */
const REFUSED_REST_MS = 200;
const LARGE_BYTES = 30_000;

/** A value that the soak writes: no two have the same id. */
export interface Written {
  readonly id: string;
  readonly padding: string;
}

export interface Write {
  readonly id: string;
  readonly site: string;
  outcome: 'open' | 'done' | 'refused';
  /** What the answer said. */
  answer: string;
  /** Where it was answered that the write stands. */
  position: string | undefined;
}

interface WriteAnswer {
  readonly code?: string;
  readonly last?: unknown;
  readonly position?: { readonly epoch: number; readonly revision: number };
}

/** All writes of a run, and what was answered. */
export class Writes {
  readonly byId = new Map<string, Write>();
  /** By site, how many lines of its log were read. */
  readonly #readLines = new Map<string, number>();

  begin(id: string, site: string): Write {
    const write: Write = { id, site, outcome: 'open', answer: 'none', position: undefined };
    this.byId.set(id, write);
    return write;
  }

  /** Takes over what a process that embeds the library wrote by itself, as its log tells since the last call. */
  read({ site, log }: SoakSite): void {
    for (const { event, message } of log.slice(this.#readLines.get(site) ?? 0)) {
      const [id, position] = message.split(' ');
      if (event === 'writing') this.begin(id!, site);
      if (event === 'written') Object.assign(this.byId.get(id!)!, { outcome: 'done', position });
    }
    this.#readLines.set(site, log.length);
  }

  get done(): number {
    return [...this.byId.values()].filter(({ outcome }) => outcome === 'done').length;
  }
}

interface WriterSettings {
  /** At most so long between two writes. */
  readonly restMs: number;
  readonly valueBytes: number;
}

/** Writes at one site, one value after the other, whether it takes them or not. */
export class Writer {
  readonly #site: SoakSite;
  readonly #name: string;
  readonly #chance: Chance;
  readonly #writes: Writes;
  readonly #fault: (what: string) => void;
  readonly #settings: WriterSettings;
  #next = 1;
  #isPaused = false;
  #isEnded = false;
  #round: Promise<void> = Promise.resolve();

  /** @param name unlike that of any other writer */
  constructor(site: SoakSite, name: string, settings: WriterSettings, chance: Chance, writes: Writes, fault: (what: string) => void) {
    this.#site = site;
    this.#name = name;
    this.#chance = chance;
    this.#writes = writes;
    this.#settings = settings;
    this.#fault = fault;
  }

  /** Runs until it is ended. */
  async run(): Promise<void> {
    while (!this.#isEnded) {
      let restMs = this.#chance.below(this.#settings.restMs);
      if (!this.#isPaused) {
        const round = this.#write();
        this.#round = round.then(() => undefined);
        if ((await round) !== 'done') restMs += this.#chance.below(REFUSED_REST_MS);
      }
      await new Promise(resolve => setTimeout(resolve, restMs));
    }
  }

  /** Resolves when no write is under way; none is begun until `resume`. */
  pause(): Promise<void> {
    this.#isPaused = true;
    return this.#round;
  }

  resume(): void {
    this.#isPaused = false;
  }

  end(): void {
    this.#isEnded = true;
  }

  async #write(): Promise<Write['outcome']> {
    const chance = this.#chance;
    const write = this.#writes.begin(`${this.#name}-${this.#next++}`, this.#site.site);
    const key = chance.happens(0.2) ? `shared-${chance.below(SHARED_KEYS)}` : `${this.#name}-${chance.below(KEYS_EACH)}`;
    const value: Written = {
      id: write.id,
      padding: 'x'.repeat(chance.below(chance.happens(0.03) ? LARGE_BYTES : this.#settings.valueBytes)),
    };
    const headers: Record<string, string> = chance.happens(0.15) ? { 'evertree-acknowledge': '1', prefer: 'wait=1' } : {};
    const { status, text, isRefused } = await this.#site.ask('PUT', `/data/k/${key}`, value, headers);
    if (status === 0) {
      write.answer = text;
      write.outcome = isRefused ? 'refused' : 'open';
      return write.outcome;
    }
    const answer = JSON.parse(text) as WriteAnswer;
    write.answer = answer.code ?? String(status);
    write.outcome = outcomeOf(status, answer);
    if (write.outcome === 'done' && answer.position !== undefined) write.position = positionText(answer.position);
    if (status === 500) this.#fault(`${this.#site.site} answered a write with 500: ${text.slice(0, 500)}`);
    return write.outcome;
  }
}

function outcomeOf(status: number, { code = '', last }: WriteAnswer): Write['outcome'] {
  // The commit stands, though too few secondaries told in time that they have it.
  if (status < 300 || code === 'ACKNOWLEDGEMENT_TIMEOUT') return 'done';
  if (status === 500 || UNDECIDED.has(code) || (code === 'FENCED' && last !== undefined)) return 'open';
  return 'refused';
}
