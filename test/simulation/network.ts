import type { Transport } from '@evertree/core';
import { Dialling, Listening } from './endpoints.ts';
import type { SimulatedProcess } from './machine.ts';
import type { SimulatedLink } from './link.ts';
import type { Paths } from './paths.ts';

/** Machines that dial one another by name, and what happens to the messages between them. */
export class SimulatedNetwork {
  readonly paths: Paths;
  readonly links = new Set<SimulatedLink>();
  readonly #listeners = new Map<string, Listening>();

  constructor(paths: Paths) {
    this.paths = paths;
  }

  /** A secondary's end: it listens under the name of its machine. */
  listen(process: SimulatedProcess): Transport {
    return new Listening(this.#listeners, process);
  }

  /** A primary's end: it dials these machines. */
  dial(process: SimulatedProcess, remotes: readonly string[]): Transport {
    return new Dialling({ paths: this.paths, listeners: this.#listeners, links: this.links }, process, remotes);
  }

  /** Blocks one way, or opens it again. */
  block(from: string, to: string, blocked: boolean): void {
    this.paths.of(from, to).blocked = blocked;
    for (const link of this.links) link.pathChanged();
  }

  /** Breaks the links between two machines. */
  cut(one: string, other: string): void {
    for (const link of this.#between(one, other)) link.break();
  }

  /** Nothing arrives any more over the links that are there now; new ones carry. */
  halfOpen(one: string, other: string): void {
    for (const link of this.#between(one, other)) link.mute();
  }

  /** A second link beside the one that is there, dialled by `from`. */
  dialAgain(from: string, to: string): void {
    this.#between(from, to)
      .find(link => link.dialled.process.machine.name === from)
      ?.dialAgain();
  }

  heal(): void {
    this.paths.heal();
    for (const link of this.links) link.pathChanged();
  }

  #between(one: string, other: string): SimulatedLink[] {
    return [...this.links].filter(link => {
      const names = [link.dialled.process.machine.name, link.accepted.process.machine.name];
      return names.includes(one) && names.includes(other);
    });
  }
}
