import { expect } from 'vitest';
import type { SiteProcess } from './site-process.ts';

const BATCH_LINES = 20;
/** How long it waits after a batch that was not answered. */
const PAUSE_MS = 20;

/** Writes without a pause, and remembers what was answered for. */
export class BatchWriter {
  readonly #primary: SiteProcess;
  readonly #text: string;
  readonly #places: number;
  #next = 0;
  #stopped = false;
  /** Numbers of the lines whose batch was answered with 200: durable at the primary. */
  readonly answered: number[] = [];
  batches = 0;
  readonly ended: Promise<void>;

  /**
   * @param textBytes how long the longest of the values is; @param places after so many it begins anew with the first
   */
  constructor(primary: SiteProcess, textBytes = 100, places = Infinity) {
    this.#primary = primary;
    this.#places = places;
    this.#text = 'x'.repeat(textBytes);
    this.ended = this.#run();
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.ended;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const numbers = Array.from({ length: BATCH_LINES }, () => this.#next++);
      // Each is written once, in an object of a hundred, and one place is written again and again.
      const lines = numbers.map(n => {
        const place = n % this.#places;
        return JSON.stringify([
          ['put', `/written/${Math.floor(place / 100)}/${place}`, this.#text.slice(n % 100)],
          ['put', '/last', n],
        ]);
      });
      if (await this.#post(lines.join('\n'))) {
        this.answered.push(...numbers);
        this.batches += 1;
      } else {
        await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  async #post(body: string): Promise<boolean> {
    try {
      const response = await fetch(`${this.#primary.url}/batch`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body,
      });
      await response.arrayBuffer();
      return response.ok;
    } catch {
      // Its process was killed: whether this was committed is not known.
      return false;
    }
  }
}

/** What the writers write. */
export interface WrittenTree {
  readonly written: Record<string, Record<string, string>>;
  readonly last: number;
}

export async function treeOf(site: SiteProcess): Promise<WrittenTree> {
  const response = await fetch(`${site.url}/data`);
  return (await response.json()) as WrittenTree;
}

/** Whatever was answered for is there. */
export function expectAnswered(writer: BatchWriter, tree: WrittenTree): void {
  const lost = writer.answered.filter(n => tree.written[Math.floor(n / 100)]?.[n] === undefined);
  expect(lost, 'writes that were answered for, and are gone').toEqual([]);
  expect(writer.answered.length).toBeGreaterThan(0);
}
