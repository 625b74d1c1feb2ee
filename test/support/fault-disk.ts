import type { Disk, DiskFile, OpenOptions } from '@evertree/core';
import { EvertreeError } from '@evertree/core';

/** The operations that a test can make fail or wait. */
export type DiskOperation =
  | 'open'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'rename'
  | 'remove'
  | 'list'
  | 'makeDirectory'
  | 'syncDirectory'
  | 'lock';

export interface Fault {
  readonly operation: DiskOperation;
  /** Only on paths that match. */
  readonly path?: RegExp;
  /** `ENOSPC`, `EIO`, `EROFS`, … */
  readonly code: string;
  /** How many times; without it, every time. */
  readonly times?: number;
  /** Only writes whose bytes pass. */
  readonly data?: (bytes: Buffer) => boolean;
}

export interface FaultDiskOptions {
  /** A power loss keeps or loses unsynced writes in blocks of this size. */
  readonly blockBytes?: 512 | 4096;
  /** Size of the device. A write beyond it stores what fits, and then fails with ENOSPC. */
  readonly capacityBytes?: number;
  /**
   * How long an asynchronous call takes: one call of it before the operation, and for a write another one before it is
   * durable. By default a turn of the event loop each.
   */
  readonly turn?: (operation: DiskOperation) => Promise<void>;
}

/** A change of a file that is not synced yet. */
type Change =
  | { readonly type: 'write'; readonly offset: number; readonly data: Buffer }
  | { readonly type: 'truncate'; readonly length: number };

/** A file: its bytes as a process sees them, and those that survive a power loss for certain. */
class Inode {
  seen = Buffer.alloc(0);
  durable = Buffer.alloc(0);
  changes: Change[] = [];

  write(data: Uint8Array, offset: number, blockBytes: number): Change[] {
    const added: Change[] = [];
    for (let at = 0; at < data.length;) {
      const length = Math.min(data.length - at, blockBytes - ((offset + at) % blockBytes));
      added.push({ type: 'write', offset: offset + at, data: Buffer.from(data.subarray(at, at + length)) });
      at += length;
    }
    this.seen = applyAll(this.seen, added);
    this.changes = [...this.changes, ...added];
    return added;
  }

  truncate(length: number): void {
    const change: Change = { type: 'truncate', length };
    this.seen = applyAll(this.seen, [change]);
    this.changes.push(change);
  }

  sync(): void {
    this.#settle(new Set(this.changes));
  }

  /**
   * Makes some changes durable. What was written to the same blocks before goes with them, for the cache of a system
   * holds one version of a block; so do earlier changes of the length, and what they cut off.
   */
  syncChanges(changes: readonly Change[], blockBytes: number): void {
    const now = new Set(changes);
    const blocks = new Set(changes.map(change => blockOf(change, blockBytes)));
    let lengthBytes = Infinity;
    for (let at = this.changes.findLastIndex(change => now.has(change)); at >= 0; at--) {
      const change = this.changes[at]!;
      if (change.type === 'truncate') lengthBytes = Math.min(lengthBytes, change.length);
      else if (change.offset + change.data.length <= lengthBytes && !blocks.has(blockOf(change, blockBytes))) continue;
      now.add(change);
    }
    this.#settle(now);
  }

  #settle(now: ReadonlySet<Change>): void {
    this.durable = applyAll(
      this.durable,
      this.changes.filter(change => now.has(change)),
    );
    this.changes = this.changes.filter(change => !now.has(change));
  }
}

/** The block that a write changes, for no write goes beyond one; -1 for other changes. */
function blockOf(change: Change, blockBytes: number): number {
  return change.type === 'write' ? Math.floor(change.offset / blockBytes) : -1;
}

/** Applies the changes in place, or in a longer buffer. */
function applyAll(bytes: Buffer<ArrayBuffer>, changes: readonly Change[]): Buffer<ArrayBuffer> {
  const ends = changes.map(change => (change.type === 'write' ? change.offset + change.data.length : 0));
  let length = bytes.length;
  const buffer = ends.some(end => end > bytes.length)
    ? Buffer.concat(
        [bytes],
        ends.reduce((a, b) => Math.max(a, b), length),
      )
    : bytes;
  for (const change of changes) {
    if (change.type === 'write') {
      change.data.copy(buffer, change.offset);
      length = Math.max(length, change.offset + change.data.length);
    } else {
      // Bytes that were cut off read as zeros when the file grows again.
      buffer.fill(0, Math.min(change.length, buffer.length));
      length = change.length;
    }
  }
  if (length > buffer.length) return Buffer.concat([buffer], length);
  return buffer.subarray(0, length);
}

/** A change of a name whose directory is not synced yet. */
type Naming =
  | { readonly type: 'add'; readonly path: string; readonly inode: Inode | 'directory' }
  | { readonly type: 'rename'; readonly from: string; readonly to: string; readonly inode: Inode }
  | { readonly type: 'remove'; readonly path: string };

type Names = Map<string, Inode | 'directory'>;

/**
 * A disk in memory that loses what a real one may lose. After `powerLoss` any subset of the unsynced blocks and names
 * is there, in any order. After `crash` (only the process dies) all of them are there, and still unsynced.
 */
export class FaultDisk implements Disk {
  /** Counts the calls that changed something or made it durable. */
  steps = 0;
  #names: Names = new Map();
  #durableNames: Names = new Map();
  #namings: Naming[] = [];
  #faults: (Fault & { left: number })[] = [];
  #holds: { readonly operation: DiskOperation; readonly path: RegExp; readonly released: Promise<void> }[] = [];
  #lastStep = Infinity;
  #dead = false;
  #locked = false;
  #mark = 'original';
  readonly #blockBytes: number;
  readonly #wait: (operation: DiskOperation) => Promise<void>;
  capacityBytes: number;

  constructor(options: FaultDiskOptions = {}) {
    this.#blockBytes = options.blockBytes ?? 512;
    this.capacityBytes = options.capacityBytes ?? 1024 ** 4;
    this.#wait = options.turn ?? nextTurn;
  }

  // What a test does to it

  /** The process dies; its writes stay in the page cache. @returns the disk as the next process finds it */
  crash(): FaultDisk {
    const next = this.#successor(this.#names);
    next.#durableNames = this.#durableNames;
    next.#namings = this.#namings;
    return next;
  }

  /** The power fails. @param random in [0, 1) @returns the disk as it is found when the power is back */
  powerLoss(random: () => number): FaultDisk {
    // Nothing, everything and a random share are equally likely; the share counts twice.
    const chance = [0, 1, random(), random()][Math.floor(random() * 4)]!;
    const survives = () => random() < chance;
    const names: Names = new Map(this.#durableNames);
    for (const naming of this.#namings) if (survives()) rename(names, naming);
    const found: Names = new Map();
    for (const [path, inode] of names) found.set(path, inode === 'directory' ? inode : settled(remains(inode, survives)));
    return this.#successor(found);
  }

  /**
   * Copies the files, as a tool does: into other inodes.
   * @param read what the tool reads from a file; undefined if it misses the file
   */
  copy(read: (path: string, bytes: Buffer) => Buffer | undefined = (_, bytes) => bytes): FaultDisk {
    const found: Names = new Map();
    for (const [path, inode] of this.#names) {
      const bytes = inode === 'directory' ? undefined : read(path, inode.seen);
      if (inode === 'directory') found.set(path, inode);
      else if (bytes !== undefined) found.set(path, settled(bytes));
    }
    const copy = this.#successor(found, false);
    copy.#mark = `${this.#mark}, copied`;
    return copy;
  }

  /** The device as it is at this moment, for a machine that is taken back to it later: the same files, all durable. */
  image(): FaultDisk {
    const found: Names = new Map();
    for (const [path, inode] of this.#names) found.set(path, inode === 'directory' ? inode : settled(inode.seen));
    return this.#successor(found, false);
  }

  fail(fault: Fault): Disposable {
    const entry = { ...fault, left: fault.times ?? Infinity };
    this.#faults.push(entry);
    return { [Symbol.dispose]: () => void (this.#faults = this.#faults.filter(other => other !== entry)) };
  }

  /** Holds asynchronous calls back until the returned function is called. */
  hold(operation: DiskOperation, path = /./): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry = { operation, path, released: promise };
    this.#holds.push(entry);
    return () => {
      this.#holds = this.#holds.filter(other => other !== entry);
      resolve();
    };
  }

  /** Leaves so many bytes of room on the device. */
  leaveRoom(bytes: number): void {
    this.capacityBytes = this.#usedBytes() + bytes;
  }

  /** Lets the process die after `steps` more steps: every later call fails. */
  dieAfter(steps: number): void {
    this.#lastStep = this.steps + steps;
  }

  // What a test looks at

  /** The process that used it is dead: every call fails. */
  get isDead(): boolean {
    return this.#dead;
  }

  get files(): string[] {
    return [...this.#names].filter(([, inode]) => inode !== 'directory').map(([path]) => path);
  }

  bytes(path: string): Buffer {
    return Buffer.from(this.#inode(path).seen);
  }

  /** Changes a file durably, without the process. */
  overwrite(path: string, change: (bytes: Buffer) => Buffer): void {
    const inode = this.#inode(path);
    inode.seen = Buffer.from(change(Buffer.from(inode.seen)));
    inode.durable = Buffer.from(inode.seen);
    inode.changes = [];
  }

  /** Creates a file durably, without the process. */
  place(path: string, bytes: Buffer): void {
    const inode = settled(bytes);
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  /** Removes a file durably, without the process. */
  erase(path: string): void {
    this.#names.delete(path);
    this.#durableNames.delete(path);
  }

  // The seam

  async open(path: string, options: OpenOptions): Promise<DiskFile> {
    await this.#turn('open', path);
    return this.#open(path, options);
  }

  openSync(path: string, options: OpenOptions): DiskFile {
    this.#enter('open', path);
    return this.#open(path, options);
  }

  async list(directory: string): Promise<string[]> {
    await this.#turn('list', directory);
    const prefix = `${directory}/`;
    return [...this.#names.keys()].filter(path => path.startsWith(prefix)).map(path => path.slice(prefix.length));
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#turn('makeDirectory', path);
    if (!this.#names.has(path)) this.#name({ type: 'add', path, inode: 'directory' });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#turn('rename', to);
    this.#name({ type: 'rename', from, to, inode: this.#inode(from) });
  }

  renameSync(from: string, to: string): void {
    this.#enter('rename', to);
    this.#name({ type: 'rename', from, to, inode: this.#inode(from) });
  }

  async remove(path: string): Promise<void> {
    await this.#turn('remove', path);
    this.#inode(path);
    this.#name({ type: 'remove', path });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#turn('syncDirectory', path);
    this.#syncNames(path);
  }

  syncDirectorySync(path: string): void {
    this.#enter('syncDirectory', path);
    this.#syncNames(path);
  }

  async mark(): Promise<string> {
    return this.#mark;
  }

  async space(): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    return { totalBytes: this.capacityBytes, freeBytes: this.capacityBytes - this.#usedBytes() };
  }

  async lock(): Promise<AsyncDisposable> {
    this.#enter('lock', 'lock');
    if (this.#locked) throw new EvertreeError('DIRECTORY_IN_USE', 'the disk in memory is in use', { directory: 'memory' });
    this.#locked = true;
    return { [Symbol.asyncDispose]: async () => void (this.#locked = false) };
  }

  #open(path: string, options: OpenOptions): DiskFile {
    if (!this.#names.has(path) && options.create === true) this.#name({ type: 'add', path, inode: new Inode() });
    const inode = this.#inode(path);
    const turn = (operation: DiskOperation, buffers?: readonly Uint8Array[]) => this.#turn(operation, path, buffers);
    const write = (buffers: readonly Uint8Array[], offset: number): Change[] => {
      const data = Buffer.concat(buffers);
      const room = this.capacityBytes - this.#usedBytes() + inode.seen.length - offset;
      const changes = inode.write(data.subarray(0, Math.max(0, room)), offset, this.#blockBytes);
      if (data.length > room) throw diskError('ENOSPC', 'write', path);
      return changes;
    };
    // A real system gives the descriptor to another file after the close: a late write would go there.
    const descriptor = { open: true, calls: 0 };
    const assertOpen = () => {
      if (!descriptor.open) throw diskError('EBADF', 'use', path);
    };
    const during = async <T>(task: () => Promise<T>): Promise<T> => {
      assertOpen();
      descriptor.calls++;
      return task().finally(() => descriptor.calls--);
    };
    return {
      size: () => during(async () => inode.seen.length),
      read: (buffer, offset) =>
        during(async () => {
          await turn('read');
          return inode.seen.copy(buffer, 0, offset, offset + buffer.length);
        }),
      write: (buffers, offset) =>
        during(async () => {
          await turn('write', buffers);
          const changes = write(buffers, offset);
          await this.#wait('write');
          if (options.durableWrites === true && !this.#dead) inode.syncChanges(changes, this.#blockBytes);
        }),
      writeSync: (buffers, offset) => {
        assertOpen();
        this.#enter('write', path, buffers);
        const changes = write(buffers, offset);
        if (options.durableWrites === true) inode.syncChanges(changes, this.#blockBytes);
      },
      sync: () =>
        during(async () => {
          await turn('sync');
          inode.sync();
        }),
      syncSync: () => {
        assertOpen();
        this.#enter('sync', path);
        inode.sync();
      },
      truncate: length =>
        during(async () => {
          await turn('truncate');
          inode.truncate(length);
        }),
      close: async () => {
        assertOpen();
        if (descriptor.calls > 0) throw diskError('EBUSY', 'close', path);
        descriptor.open = false;
      },
    };
  }

  /** Begins an asynchronous call: it takes a turn, and waits while it is held. */
  async #turn(operation: DiskOperation, path: string, buffers?: readonly Uint8Array[]): Promise<void> {
    await this.#wait(operation);
    for (const hold of this.#holds) if (hold.operation === operation && hold.path.test(path)) await hold.released;
    this.#enter(operation, path, buffers);
  }

  #enter(operation: DiskOperation, path: string, buffers: readonly Uint8Array[] = []): void {
    if (!['open', 'read', 'list', 'lock'].includes(operation)) this.steps++;
    if (this.steps > this.#lastStep) this.#dead = true;
    if (this.#dead) throw diskError('EDEAD', operation, path);
    const fault = this.#faults.find(
      each =>
        each.operation === operation && each.left > 0 && (each.path?.test(path) ?? true) && (each.data?.(Buffer.concat(buffers)) ?? true),
    );
    if (fault === undefined) return;
    fault.left--;
    throw diskError(fault.code, operation, path);
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined || inode === 'directory') throw diskError('ENOENT', 'open', path);
    return inode;
  }

  #name(naming: Naming): void {
    rename(this.#names, naming);
    this.#namings.push(naming);
  }

  #syncNames(directory: string): void {
    const isHere = (naming: Naming) => parent(naming.type === 'rename' ? naming.to : naming.path) === directory;
    for (const naming of this.#namings.filter(isHere)) rename(this.#durableNames, naming);
    this.#namings = this.#namings.filter(naming => !isHere(naming));
  }

  #usedBytes(): number {
    let sum = 0;
    for (const inode of this.#names.values()) if (inode !== 'directory') sum += inode.seen.length;
    return sum;
  }

  #successor(names: Names, kill = true): FaultDisk {
    if (kill) this.#dead = true;
    const next = new FaultDisk({ blockBytes: this.#blockBytes as 512 | 4096, capacityBytes: this.capacityBytes, turn: this.#wait });
    next.#names = names;
    next.#durableNames = new Map(names);
    next.#mark = this.#mark;
    return next;
  }
}

function rename(names: Names, naming: Naming): void {
  if (naming.type === 'add') names.set(naming.path, naming.inode);
  else if (naming.type === 'remove') names.delete(naming.path);
  else {
    const { from, to, inode } = naming;
    const found = names.get(from);
    // The creation of the file may be lost while its rename is kept: then the rename brings the file along.
    if (found === undefined) return;
    // A file that came under the old name later, and became durable first, stays there.
    if (found === inode) names.delete(from);
    names.set(to, inode);
  }
}

function settled(bytes: Buffer): Inode {
  const inode = new Inode();
  inode.seen = Buffer.from(bytes);
  inode.durable = Buffer.from(bytes);
  return inode;
}

function remains(inode: Inode, survives: () => boolean): Buffer {
  return applyAll(
    Buffer.from(inode.durable),
    inode.changes.filter(() => survives()),
  );
}

function parent(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

function nextTurn(): Promise<void> {
  return new Promise(resolve => void setImmediate(resolve));
}

function diskError(code: string, operation: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${operation} '${path}'`), { code, path });
}
