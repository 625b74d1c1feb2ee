import { EvertreeError, type SnapshotHeader, type Store } from '@evertree/core';
import { z } from 'zod';
import { checked } from '../json/checked.ts';
import { positionHeader, type Exchange } from './exchange.ts';
import { mediaType } from './headers.ts';
import { RequestError } from './problem.ts';
import { adminBody } from './roles.ts';
import { plainPosition } from './write.ts';

/** Snapshots that are asked for: one is written at a time, and all who wait for the next one share it. */
export class SnapshotRequests {
  #current: Promise<unknown> = Promise.resolve();
  #next: Promise<SnapshotHeader> | undefined;

  /** POST /admin/snapshot: writes the tree to the disk, as it is now or later. */
  async serve(exchange: Exchange): Promise<void> {
    exchange.refuseParameters();
    this.#next ??= this.#begin(exchange.context.store);
    const { position, digest, stream } = await this.#next;
    exchange.answer(200, { position: plainPosition(position), digest, stream }, positionHeader(position));
  }

  async #begin(store: Store): Promise<SnapshotHeader> {
    await this.#current;
    this.#next = undefined;
    const saving = store.saveSnapshot();
    // The requests that wait for it get the failure; the next snapshot begins nevertheless.
    this.#current = saving.catch(() => undefined);
    return saving;
  }
}

/** POST /admin/reload: takes over the tokens and certificates that the site's files have now. */
export async function postReload(exchange: Exchange): Promise<void> {
  checked(z.strictObject({}), await adminBody(exchange, '{}'), 'the body');
  exchange.answer(200, exchange.context.site.reload());
}

/** POST /admin/forget {"site": name}, or {"peer": name}: takes a lost secondary off the list. */
export async function postForget(exchange: Exchange): Promise<void> {
  exchange.refuseParameters();
  if (mediaType(exchange.request.headers) !== 'application/json') {
    throw new RequestError('UNSUPPORTED_MEDIA_TYPE', 'the body has to be application/json: {"site": "name"}');
  }
  const site = siteIn(await exchange.readJson());
  const { store, site: here } = exchange.context;
  const { producer } = here;
  const peer = producer?.peers.find(candidate => candidate.site === site);
  const forgotten = producer === undefined ? store.journal.leases.release('peer', site) : producer.forget(site);
  if (forgotten) {
    exchange.answer(200, { site, forgotten: true });
    return;
  }
  if (peer === undefined) {
    const known = producer?.peers.map(each => each.site) ?? [...store.journal.leases.of('peer').keys()];
    const names = known.length === 0 ? `${store.site} knows none` : `${store.site} knows ${known.join(', ')}`;
    throw new EvertreeError('NOT_FOUND', `no secondary is called ${JSON.stringify(site)}; ${names}`, { site });
  }
  throw new EvertreeError('WRONG_ROLE', `${site} is linked now, and would be listed again at once; stop it first`, {
    site,
    state: peer.state,
  });
}

function siteIn(body: unknown): string {
  const { site, peer } = (typeof body === 'object' && body !== null ? body : {}) as { readonly site?: unknown; readonly peer?: unknown };
  const name = site ?? peer;
  if (typeof name === 'string' && name !== '') return name;
  throw new EvertreeError('VALUE_INVALID', 'the body names no secondary; send {"site": "name"}');
}
