import {
  type DigestAnswer,
  type DigestQuery,
  type DigestSource,
  formatPath,
  isEvertreeError,
  parsePath,
  type Path,
  type SnapshotHeader,
  type Value,
} from '@evertree/core';
import type { RequestOptions, SiteClient } from '../client/site-client.ts';
import { checked } from '../json/checked.ts';
import { answersSchema, checkedSchema, PATHS_LIMIT, pinnedSchema, QUERIES_LIMIT, readAnswer } from './messages.ts';

/** When to hold a site's state: at the first end of a frame that is not before this revision. */
export interface WantedState {
  readonly revision: number;
  /** After this time the site holds its present state, whatever that is. */
  readonly waitMs: number;
}

/** A running site's tree, held at one position until it is released, or until nobody asks for a while. */
export class RemoteTree implements DigestSource, AsyncDisposable {
  readonly header: SnapshotHeader;
  readonly #client: SiteClient;
  readonly #pin: string;

  private constructor(client: SiteClient, pin: string, header: SnapshotHeader) {
    this.#client = client;
    this.#pin = pin;
    this.header = header;
  }

  /** @throws EvertreeError UNREACHABLE, or what the site answered */
  static async hold(client: SiteClient, wanted?: WantedState): Promise<RemoteTree> {
    const answer = await client.json('/digests', post(wanted ?? {}));
    const { pin, header } = checked(pinnedSchema, answer, `what ${client.url.origin} answered`);
    return new RemoteTree(client, pin, header);
  }

  get digest(): string {
    return this.header.digest;
  }

  async ask(queries: readonly DigestQuery[]): Promise<readonly DigestAnswer[]> {
    const asked = queries.slice(0, QUERIES_LIMIT).map(query => ({ ...query, path: formatPath(query.path) }));
    const answer = await this.#client.json(`/digests/${this.#pin}`, post({ queries: asked }));
    return checked(answersSchema, answer, `what ${this.#client.url.origin} answered`).answers.map(readAnswer);
  }

  /** Objects whose kept digest is not that of their content: the site computes all of its digests anew. */
  async damaged(): Promise<readonly Path[]> {
    const answer = await this.#client.json(`/digests/${this.#pin}/check`, post({}));
    return checked(checkedSchema, answer, `what ${this.#client.url.origin} answered`).damaged.map(path => parsePath(path));
  }

  /** The values at these paths. At each there has to be one. */
  async values(paths: readonly Path[]): Promise<readonly Value[]> {
    const values: Value[] = [];
    for (let begin = 0; begin < paths.length; begin += PATHS_LIMIT) {
      const asked = paths.slice(begin, begin + PATHS_LIMIT).map(formatPath);
      values.push(...((await this.#client.json(`/digests/${this.#pin}/values`, post({ paths: asked }))) as readonly Value[]));
    }
    return values;
  }

  /** A site that does not answer lets it go by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      (await this.#client.request(`/digests/${this.#pin}`, { method: 'DELETE' })).discard();
    } catch (error) {
      if (!isEvertreeError(error)) throw error;
    }
  }
}

function post(body: object): RequestOptions {
  return { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body), patient: true };
}
