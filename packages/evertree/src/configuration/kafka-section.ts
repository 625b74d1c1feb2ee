import type { ConfigurationDocument } from './document.ts';
import { readNamedFile } from './named-file.ts';
import type { ConfigurationProblem } from './problem.ts';

/** The Java properties of a file, as texts, and what is found about them while they are resolved. */
export class KafkaSection {
  readonly notes: string[] = [];
  readonly warnings: string[] = [];
  readonly #document: ConfigurationDocument;
  readonly #name: string;
  readonly #properties: ReadonlyMap<string, string>;
  readonly #problems: ConfigurationProblem[];

  constructor(
    document: ConfigurationDocument,
    name: string,
    properties: Readonly<Record<string, string>>,
    problems: ConfigurationProblem[],
  ) {
    this.#document = document;
    this.#name = name;
    this.#properties = new Map(Object.entries(properties));
    this.#problems = problems;
  }

  has(property: string): boolean {
    return this.#properties.has(property);
  }

  text(property: string): string | undefined {
    return this.#properties.get(property);
  }

  number(property: string): number | undefined {
    const text = this.#properties.get(property);
    return text === undefined ? undefined : Number(text);
  }

  /** The text of the file that a property names, relative to the configuration. */
  file(property: string, limitBytes: number, isSecret: boolean): string | undefined {
    const file = this.text(property);
    if (file === undefined) return undefined;
    const findings = { problems: this.#problems, warnings: this.warnings };
    return readNamedFile(this.#document, [this.#name, property], file, findings, { limitBytes, isSecret });
  }

  problem(property: string, message: string): void {
    this.#problems.push(this.#document.problem([this.#name, property], message));
  }

  /** Adds the same problem for each property whose name fits. */
  refuse(names: RegExp, message: string): void {
    for (const property of this.#properties.keys()) if (names.test(property)) this.problem(property, message);
  }

  note(message: string): void {
    this.notes.push(message);
  }
}
