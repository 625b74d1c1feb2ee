import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Store } from 'evertree';
import { type Shape, deviceName, deviceValue } from '../shape.ts';

const DEVICES_A_TURN = 200;

/** Builds a tree, a commit a device; resolves when it is on the disk. */
export async function fill(store: Store, shape: Shape): Promise<void> {
  for (let device = 0; device < shape.devices; device++) {
    store.put(['devices', deviceName(device)], deviceValue(shape, device));
    if (device % DEVICES_A_TURN === 0) await nextTurn();
  }
  await store.flush();
}
