import type { Store } from '@evertree/core';
import { WriteAdmission } from '../../packages/evertree/src/http/admission.ts';
import type { RoleDriver } from '../../packages/evertree/src/roles/role-driver.ts';

const LIMITS = { heldWrites: 3, heldBytes: 1000, heldMs: 500 };

/** Where clients reach a site: its name stands for the host. */
export function addressOf(site: string): string {
  return `http://${site}`;
}

/** What of a store's HTTP interface decides whether a write may begin. */
export function admissionTo(store: Store, roles: RoleDriver): WriteAdmission {
  return new WriteAdmission(store, LIMITS, () => roles.status !== undefined);
}
