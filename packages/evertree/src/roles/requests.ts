import type { RoleMessage } from '@evertree/core';
import type { SwitchoverResult } from './giving.ts';
import type { SwitchoverForecast } from './preflight.ts';
import type { RoleContext } from './role-context.ts';

type Answered = Extract<RoleMessage, { kind: 'answered' }>;

export interface SwitchoverRequest {
  readonly command: string;
  readonly to: string;
  readonly dryRun: boolean;
  readonly cancel: boolean;
  readonly maxPauseMs: number;
}

/** Switchovers that a person asked for at a secondary: they are passed on to its primary, which answers. */
export class Requests {
  readonly #context: RoleContext;
  readonly #open = new Map<string, (answer: Answered | undefined) => void>();

  constructor(context: RoleContext) {
    this.#context = context;
  }

  /** The primary answers. */
  hear(message: Answered): void {
    this.#open.get(message.command)?.(message);
  }

  /** The primary, or its link, is gone: what it did not answer yet it never will. */
  lost(): void {
    for (const answer of this.#open.values()) answer(undefined);
  }

  /** @returns undefined when the primary did not answer, or is not linked */
  async ask(primary: string, options: SwitchoverRequest): Promise<Answered | undefined> {
    const { store, consumer, limits } = this.#context;
    const { command, maxPauseMs } = options;
    const { promise, resolve } = Promise.withResolvers<Answered | undefined>();
    // What the primary itself may take, before it holds writers and while it does.
    const limitMs = 3 * limits.consentMs + 2 * maxPauseMs + limits.answerMs;
    const patience = store.clock.after(limitMs, () => resolve(undefined));
    this.#open.set(command, resolve);
    if (consumer?.sendRole(primary, { kind: 'request', ...options }) !== true) resolve(undefined);
    try {
      return await promise;
    } finally {
      patience[Symbol.dispose]();
      this.#open.delete(command);
    }
  }
}

/** What a primary answers to a request. */
export function answerOf(command: string, result: SwitchoverResult | SwitchoverForecast, position: Answered['position']): Answered {
  if ('outcome' in result) {
    const { outcome, text, obstacles, pauseMs } = result;
    return { kind: 'answered', command, outcome, text, obstacles, position: result.position, pauseMs };
  }
  const { obstacles, warnings, predictedPauseMs = null } = result;
  return { kind: 'answered', command, outcome: 'unknown', text: 'a dry run', obstacles, warnings, position, pauseMs: predictedPauseMs };
}
