import { EventEmitter } from 'node:events';
import { isEvertreeError } from '@evertree/core';
import type { WriteAdmission } from '../../packages/evertree/src/http/admission.ts';
import { RequestError } from '../../packages/evertree/src/http/problem.ts';
import type { Ledger } from './ledger.ts';
import type { SimulatedSite } from './site.ts';

type Exchange = Parameters<WriteAdmission['wait']>[0];

/**
 * A client that writes over HTTP. Its write is held while roles are switched; then it is committed where it was sent,
 * or sent on, once, to the site that the answer names, or given up.
 */
export async function writeOverHttp(site: SimulatedSite, ledger: Ledger, world: HeldWorld): Promise<void> {
  const { running } = site;
  if (running === undefined || running.process.isStalled) return;
  const id = ledger.draw(site.name);
  const { admission } = running;
  const exchange = exchangeOf();
  try {
    for (let wait = admission.wait(exchange); wait !== undefined; wait = admission.wait(exchange)) {
      world.mark('held-write:held');
      await wait;
    }
  } catch (error) {
    if (!(error instanceof RequestError) && !isEvertreeError(error, 'CLOSED')) throw error;
    ledger.refuse(id);
    return sentElsewhere(error, site, id, ledger, world);
  }
  if (site.running === running) ledger.write(site, 0, id);
}

interface HeldWorld {
  readonly sites: readonly SimulatedSite[];
  mark(name: string): void;
  violated(law: string, what: string): void;
}

/** The answer says that nothing was committed, and where the write has to go. */
function sentElsewhere(error: Error, site: SimulatedSite, id: string, ledger: Ledger, world: HeldWorld): void {
  const location = error instanceof RequestError ? error.headers['Location'] : undefined;
  world.mark(location === undefined ? 'held-write:refused' : 'held-write:sent-on');
  if (location === undefined) return;
  const host = new URL(location).host;
  const other = world.sites.find(({ name }) => name === host);
  if (other === undefined || other === site)
    return world.violated('held-write', `${site.name} sends a write that it does not take to ${location}`);
  ledger.write(other, 0, id);
}

function exchangeOf(): Exchange {
  const exchange = {
    request: { headers: { 'content-length': '100' }, url: '/data/c' },
    response: new EventEmitter(),
    target: { path: '/data/c' },
    context: { closing: new AbortController().signal },
  };
  return exchange as unknown as Exchange;
}
