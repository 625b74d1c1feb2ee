// The trees and the changes that every contestant gets: a network's devices, 10 fields an interface.

/**
 * `/devices/dev-000123/interfaces/eth4/{10 fields}`; without interfaces `/devices/dev-000123/{10 fields}`. `/devices`
 * is as wide as there are devices.
 */
export interface Shape {
  readonly devices: number;
  readonly interfaces: number;
}

export type Leaf = string | number | boolean;

const FIELDS = ['name', 'admin', 'oper', 'mtu', 'speed', 'inOctets', 'outOctets', 'inErr', 'outErr', 'desc'] as const;
/** Changes go to the counters. */
const COUNTERS = FIELDS.slice(5, 9);
/** Paths are picked once, before anything is timed, and gone through in turn. */
export const PICKS = 65_536;
const SEED = 777;

export const NARROW: Shape = { devices: 1_000, interfaces: 10 };
export const DEEP: Shape = { devices: 10_000, interfaces: 10 };
export const WIDE: Shape = { devices: 100_000, interfaces: 0 };

export function leavesOf({ devices, interfaces }: Shape): number {
  return devices * Math.max(1, interfaces) * FIELDS.length;
}

export function deviceName(device: number): string {
  return `dev-${String(device).padStart(6, '0')}`;
}

type Fields = Readonly<Record<string, Leaf>>;

/** The value at `/devices/<name>`. */
export function deviceValue({ interfaces }: Shape, device: number): Fields | { readonly interfaces: Readonly<Record<string, Fields>> } {
  if (interfaces === 0) return interfaceValue(device, 0);
  return {
    interfaces: Object.fromEntries(Array.from({ length: interfaces }, (_, index) => [`eth${index}`, interfaceValue(device, index)])),
  };
}

function interfaceValue(device: number, index: number): Fields {
  return {
    name: `eth${index}`,
    admin: true,
    oper: true,
    mtu: 1500,
    speed: 10_000,
    inOctets: device,
    outOctets: index,
    inErr: 0,
    outErr: 0,
    desc: `uplink ${device}`,
  };
}

/** Every leaf with its path, for a contestant without a tree. */
export function* leaves(shape: Shape): Generator<[path: string, value: Leaf]> {
  for (let device = 0; device < shape.devices; device++) {
    const path = `devices/${deviceName(device)}`;
    if (shape.interfaces === 0) yield* fieldsAt(path, device, 0);
    for (let index = 0; index < shape.interfaces; index++) yield* fieldsAt(`${path}/interfaces/eth${index}`, device, index);
  }
}

function* fieldsAt(path: string, device: number, index: number): Generator<[path: string, value: Leaf]> {
  for (const [field, value] of Object.entries(interfaceValue(device, index))) yield [`${path}/${field}`, value];
}

/**
 * The paths that changes go to, the same in every process. Equal segments are one string, as in a program that holds
 * its keys.
 */
export function picks(shape: Shape): string[][] {
  const devices = Array.from({ length: shape.devices }, (_, device) => deviceName(device));
  const interfaces = Array.from({ length: shape.interfaces }, (_, index) => `eth${index}`);
  let seed = SEED;
  const draw = <T>(from: readonly T[]): T => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return from[(seed >>> 8) % from.length]!;
  };
  const holder = (): string[] => (shape.interfaces === 0 ? [draw(devices)] : [draw(devices), 'interfaces', draw(interfaces)]);
  return Array.from({ length: PICKS }, () => ['devices', ...holder(), draw(COUNTERS)]);
}
