import { isEvertreeError, parsePath, type ExactPosition, type Path } from '@evertree/core';
import { parseWhen, type When } from '@evertree/history';
import type { Exchange } from './exchange.ts';
import { RequestError } from './problem.ts';
import { refuseOtherParameters } from './target.ts';

/** The parameters of a question about the history, each checked when it is asked for. Errors name the parameter. */
export class Parameters {
  readonly #parameters: ReadonlyMap<string, string>;
  readonly #now: number;

  /** @throws RequestError REQUEST_INVALID for a parameter that is not among `known` */
  constructor({ target, context }: Exchange, known: readonly string[]) {
    this.#parameters = target.parameters;
    this.#now = context.store.clock.now();
    refuseOtherParameters(target, known);
  }

  text(name: string): string | undefined {
    return this.#parameters.get(name);
  }

  /** The pointer in `path`; the whole tree without one. @throws EvertreeError PATH_INVALID */
  path(): Path {
    return parsePath(this.#parameters.get('path') ?? '');
  }

  /** A moment; one that is relative counts from the site's clock. @throws RequestError VALUE_INVALID */
  when(name: string): When | undefined {
    const text = this.#parameters.get(name);
    return text === undefined ? undefined : whenOf(name, text, this.#now);
  }

  /** `true`, `false`, or the name alone for true. @throws RequestError REQUEST_INVALID */
  flag(name: string): boolean | undefined {
    const text = this.#parameters.get(name);
    if (text === undefined) return undefined;
    if (text === '' || text === 'true') return true;
    if (text === 'false') return false;
    throw new RequestError('REQUEST_INVALID', `${name} is ${shown(text)}; write true or false`);
  }

  /** A whole number from 1 to `most`. @throws RequestError REQUEST_INVALID */
  count(name: string, most: number): number | undefined {
    const text = this.#parameters.get(name);
    if (text === undefined) return undefined;
    const count = /^\d{1,15}$/.test(text) ? Number(text) : 0;
    if (count >= 1 && count <= most) return count;
    throw new RequestError('REQUEST_INVALID', `${name} is ${shown(text)}; write a whole number from 1 to ${most}`);
  }
}

/** The newest state that may leave the process. */
export function present({ context }: Exchange): ExactPosition {
  return context.store.stable.position;
}

/** @throws RequestError VALUE_INVALID that names where the text stood */
export function whenOf(name: string, text: string, now: number): When {
  try {
    return parseWhen(text, now);
  } catch (error) {
    if (!isEvertreeError(error)) throw error;
    throw new RequestError(error.code, `${name}: ${error.message}`, { ...error.details, parameter: name });
  }
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
