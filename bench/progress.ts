import { short } from './figure.ts';

/** What the run does at the moment, on a terminal a moving line; and lines that stay. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #showsSteps: boolean;
  readonly #started = performance.now();
  #measure = '';
  /** The seconds that the rest of the run takes; undefined: nobody knows. */
  #left: number | undefined;

  /** @param showsSteps each step is a line that stays, with the moment when it began; and so is each round's result */
  constructor(stream: NodeJS.WriteStream, showsSteps = false) {
    this.#stream = stream;
    this.#showsSteps = showsSteps;
  }

  /** A measure begins. @param left the seconds that it and those behind it take, about */
  measure(name: string, index: number, count: number, left?: number): void {
    this.#measure = `[${index + 1}/${count}] ${name}`;
    this.#left = left;
    if (left !== undefined && !this.#stream.isTTY) this.print(`${this.#measure}: ${about(left)} left`);
    this.tell('begins');
  }

  tell(what: string): void {
    const seconds = (performance.now() - this.#started) / 1e3;
    if (this.#showsSteps) this.print(`${seconds.toFixed(2).padStart(8)} s  ${this.#measure}: ${what}`);
    if (!this.#stream.isTTY) return;
    const left = this.#left === undefined ? '' : `, ${about(this.#left)} left when it began`;
    const line = `${Math.round(seconds)} s ${this.#measure}${left}: ${what}`;
    this.#stream.write(`\r\u001B[K${line.slice(0, this.#stream.columns - 1)}`);
  }

  /** The step that was told of last has this result. */
  found(result: number): void {
    if (this.#showsSteps) this.tell(`  → ${short(result)}`);
  }

  print(line: string): void {
    this.clear();
    this.#stream.write(`${line}\n`);
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001B[K');
  }
}

function about(seconds: number): string {
  return seconds < 90 ? `about ${Math.round(seconds)} s` : `about ${Math.round(seconds / 60)} min`;
}
