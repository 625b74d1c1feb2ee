// Bodies of requests that hold a site's event loop longest for their size.
import { deviceName, deviceValue } from '../shape.ts';

export const MIB = 1024 * 1024;
/** A value at `/devices/<name>` without interfaces. */
const FIELDS_OF_A_DEVICE = 10;

/** An object of devices of 10 leaves each. @param salt makes the leaves other ones */
export function devices(leaves: number, salt = 0): Buffer {
  const members = Array.from({ length: leaves / FIELDS_OF_A_DEVICE }, (_, device) => {
    const value = { ...deviceValue({ devices: 0, interfaces: 0 }, device), inOctets: device + salt, admin: salt % 2 === 0 };
    return `"${deviceName(device)}":${JSON.stringify(value)}`;
  });
  return Buffer.from(`{${members.join(',')}}`);
}

/** An object of so many leaves, with the shortest keys. */
export function shortMembers(leaves: number, value: unknown = 1): Buffer {
  const text = JSON.stringify(value);
  return Buffer.from(`{${Array.from({ length: leaves }, (_, index) => `"${index.toString(36)}":${text}`).join(',')}}`);
}

/** As many leaves as a body of this size can have, in one object. */
export function mostLeaves(bytes: number): number {
  // Some 7 bytes a member below 36^3, and 8 below 36^4.
  return Math.floor(bytes / (bytes <= MIB ? 7.6 : 8.6));
}

export function array(item: string, bytes: number): Buffer {
  const count = Math.floor((bytes - 1) / (item.length + 1));
  return Buffer.from(`[${`${item},`.repeat(count - 1)}${item}]`);
}

/** A text of characters that each need an escape. */
export function escapedText(bytes: number): Buffer {
  return Buffer.from(`"${'\\u0001'.repeat(Math.floor((bytes - 2) / 6))}"`);
}

export function plainText(bytes: number): Buffer {
  return Buffer.from(`"${'x'.repeat(bytes - 2)}"`);
}

/** A JSON patch of so many operations. */
export function patch(operations: number, make: (index: number) => object): Buffer {
  return Buffer.from(JSON.stringify(Array.from({ length: operations }, (_, index) => make(index))));
}

/** Lines of a batch. */
export function lines(count: number, make: (index: number) => unknown): Buffer {
  return Buffer.from(`${Array.from({ length: count }, (_, index) => JSON.stringify(make(index))).join('\n')}\n`);
}

/** One line of a batch: a transaction of so many operations. */
export function transaction(operations: number, make: (index: number) => unknown): Buffer {
  return Buffer.from(`${JSON.stringify(Array.from({ length: operations }, (_, index) => make(index)))}\n`);
}

/** Commits of another site's divergence, as `evertree divergences replay` sends them. */
export function replay(base: { readonly epoch: number; readonly epochId: string; readonly revision: number }, commits: number): Buffer {
  const epochId = base.epochId.replace(/^./, digit => (digit === '0' ? '1' : '0'));
  const changes = Array.from({ length: commits }, (_, index) => ({
    position: { epoch: base.epoch, revision: base.revision + 1 + index },
    epochId,
    operations: [['put', `/replayed/${index % 1_000}/${index}`, index]],
  }));
  return Buffer.from(JSON.stringify({ base, changes }));
}
