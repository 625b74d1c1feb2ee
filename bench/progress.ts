/** A moving line on a terminal, and lines that stay, there and elsewhere. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #started = performance.now();
  #measure = '';

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  measure(name: string, index: number, count: number): void {
    this.#measure = `[${index + 1}/${count}] ${name}`;
    this.tell('');
  }

  tell(what: string): void {
    if (!this.#stream.isTTY) return;
    const seconds = Math.round((performance.now() - this.#started) / 1e3);
    const line = `${seconds} s ${this.#measure} ${what}`;
    this.#stream.write(`\r\u001B[K${line.slice(0, this.#stream.columns - 1)}`);
  }

  print(line: string): void {
    this.clear();
    this.#stream.write(`${line}\n`);
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001B[K');
  }
}
