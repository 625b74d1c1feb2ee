import type { EvertreeError, Store } from '@evertree/core';

/** This primary takes no writes from now on. */
export function fence(store: Store, error: EvertreeError): void {
  store.refuseWrites(error);
  store.report({ level: 'error', event: 'primary-fenced', message: error.message, details: error.details });
}
