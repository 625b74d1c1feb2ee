import { randomBytes } from 'node:crypto';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { startHttp } from '../http/server.ts';
import { checkOptions } from '../site/options.ts';
import type { Site } from '../site/site.ts';
import { openUnstarted } from '../site/store.ts';
import { VERSION } from '../version.ts';

/** What a site that lives for seconds reports is nobody's concern; what fails is thrown. */
function quiet(): void {}

/**
 * A site that was restored to be looked at: it takes no writes, contacts nobody, and answers on this machine only. It asks
 * for no token, so that every program on this machine can read it; nobody can make it a primary.
 */
export class FencedSite implements AsyncDisposable {
  /** `http://127.0.0.1:40123` */
  readonly url: string;
  readonly #site: Site;
  readonly #stack: AsyncDisposableStack;

  private constructor(site: Site, url: string, stack: AsyncDisposableStack) {
    this.#site = site;
    this.url = url;
    this.#stack = stack;
  }

  /** Opens a directory. Without a configuration for any role the site plays no part, and so has no peers. */
  static async open(directory: string): Promise<FencedSite> {
    await using stack = new AsyncDisposableStack();
    const site = stack.use(await openUnstarted(checkOptions({ data: directory, log: quiet }, 'openStore')));
    const { epoch } = site.store.position;
    // As if it had heard that another site has become the primary.
    await site.store.fence({ number: epoch + 1, id: randomBytes(8).toString('hex') }, true);
    assertFenced(site);
    const server = await startHttp({ site, address: '127.0.0.1', port: 0, administrable: false, report: quiet, version: VERSION });
    stack.defer(() => server.close());
    return new FencedSite(site, server.address, stack.move());
  }

  /** Of the whole tree, 16 hex digits. */
  get digest(): string {
    return this.#site.store.digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** @throws EvertreeError WRONG_ROLE if it takes a write, which nobody may rely on */
function assertFenced({ store }: Site): void {
  try {
    store.put([], {});
  } catch (error) {
    if (isEvertreeError(error, 'FENCED')) return;
    throw error;
  }
  throw new EvertreeError('WRONG_ROLE', 'the restored site took a write, although it was fenced');
}
