import { join } from 'node:path';
import { startTcpProxy, type TcpProxy } from '../../test/support/tcp-proxy.ts';
import { now, until } from '../clock.ts';
import type { Shape } from '../shape.ts';
import type { RoleTasks } from '../site/role-tasks.ts';
import { longestGap } from '../statistics.ts';
import { Worker } from '../worker.ts';
import { freePort } from './free-port.ts';
import { type Wire, webSocketWire } from './wires.ts';

const CHILD = new URL('../site/role-child.ts', import.meta.url);
const NAMES = ['site-a', 'site-b'] as const;
/** A writer writes so long before and after a swap. */
const AROUND_MS = 300;

/** One of the two sites: its process, and what its configuration files would say. */
interface Side {
  readonly name: string;
  readonly data: string;
  readonly primary: Wire['primary'];
  readonly standby: Wire['secondary'];
  process: Worker<RoleTasks>;
}

export interface RolePairOptions {
  /** Both sites' files; without it each dials the other over WebSocket. */
  readonly wire?: Wire;
  /** Proxies stand between the sites, so that the wire can be cut and its bytes counted. WebSocket only. */
  readonly proxies?: true;
}

/** What a writer saw of a swap, in milliseconds. */
export interface Swap {
  readonly pauseMs: number;
  /** The longest time without an answered write in the moments before, with nothing to wait for but the disk. */
  readonly usualMs: number;
  /** The pause that the sites told. */
  readonly toldMs: number;
}

/** How an old primary came back. */
export interface Comeback {
  /** From the moment when the wire was whole again until it followed, with an equal tree, durably. */
  readonly tookMs: number;
  readonly wireBytes: number;
  /** Of the commits that it had to undo, as the journal keeps them. */
  readonly divergedBytes: number;
}

/** Two sites that each may lead and follow, each a process with a directory of its own. */
export class RolePair {
  readonly #sides: [leader: Side, follower: Side];
  readonly #proxies: readonly TcpProxy[];

  private constructor(sides: [Side, Side], proxies: readonly TcpProxy[]) {
    this.#sides = sides;
    this.#proxies = proxies;
  }

  /** A filled primary, and a secondary that holds what it holds. */
  static async start(directory: string, shape: Shape, { wire, proxies }: RolePairOptions = {}): Promise<RolePair> {
    const ports = [await freePort(), await freePort()] as const;
    const between = proxies === undefined ? [] : [await startTcpProxy({ port: ports[0] }), await startTcpProxy({ port: ports[1] })];
    const side = (index: 0 | 1): Side => ({
      name: NAMES[index],
      data: join(directory, NAMES[index]),
      // The producer dials the other site's consumer.
      primary: wire?.primary ?? webSocketWire(between[1 - index]?.port ?? ports[1 - index]!).primary,
      standby: wire?.secondary ?? webSocketWire(ports[index]).secondary,
      process: new Worker<RoleTasks>(CHILD),
    });
    const pair = new RolePair([side(0), side(1)], between);
    await Promise.all(pair.#sides.map((each, index) => pair.#open(each, index === 0 ? 'primary' : 'secondary')));
    await pair.#leader.process.call('fill', shape);
    await Promise.all(pair.#sides.map(({ process }) => process.call('aim', shape)));
    await pair.equal();
    return pair;
  }

  get #leader(): Side {
    return this.#sides[0];
  }

  get #follower(): Side {
    return this.#sides[1];
  }

  /** Waits until both hold the same, durably, as primary and secondary, and checks that their digests agree. */
  async equal(): Promise<void> {
    const { process } = this.#leader;
    const { process: other, name } = this.#follower;
    const { position } = await process.call('standing');
    await other.call('followed', position);
    await until(`${name} replicates`, async () => (await other.call('standing')).state === 'replicating');
    await until('the primary knows', async () => ((await process.call('standing')).peers[name] ?? -1) >= position.revision);
    const [ours, theirs] = [await process.call('standing'), await other.call('standing')];
    if (ours.digest !== theirs.digest) throw new Error(`the trees differ at ${position.revision}: ${ours.digest} and ${theirs.digest}`);
  }

  /**
   * Swaps the roles while somebody writes at whichever site leads.
   * @returns the longest time without an answered write, the same for a while before, and the pause that the sites told
   */
  async swap(perSecond: number): Promise<Swap> {
    for (const { process } of this.#sides) await process.call('startWriting', perSecond);
    const before = now();
    await pauseOf(AROUND_MS);
    const from = now();
    const toldMs = await this.#leader.process.call('switchover', this.#follower.name);
    await pauseOf(AROUND_MS);
    const to = now();
    const answers = await Promise.all(this.#sides.map(({ process }) => process.call('stopWriting')));
    this.#sides.reverse();
    await this.equal();
    return { pauseMs: longestGap(answers, from, to), usualMs: longestGap(answers, before + AROUND_MS / 2, from), toldMs };
  }

  /** Kills the primary, promotes the secondary, and brings the old one back. @returns milliseconds until its first write */
  async promote(): Promise<number> {
    await this.#leader.process.kill();
    const { process, name } = this.#follower;
    await until(`${name} has lost its primary`, async () => (await process.call('standing')).state === 'offline');
    const tookMs = await process.call('promoteAndWrite');
    this.#sides.reverse();
    const back = this.#follower;
    back.process = new Worker<RoleTasks>(CHILD);
    await this.#open(back);
    await this.equal();
    return tookMs;
  }

  /** Cuts the wire, lets both sites lead for a while, and heals it. */
  async comeBack(diverged: number): Promise<Comeback> {
    const [old, next] = this.#sides;
    for (const proxy of this.#proxies) proxy.setAccepting('refuse');
    for (const proxy of this.#proxies) proxy.cut();
    await until(`${next.name} has lost its primary`, async () => (await next.process.call('standing')).state === 'offline');
    await old.process.call('diverge', diverged);
    await next.process.call('promoteAndWrite');
    this.#sides.reverse();
    const { position } = await next.process.call('standing');
    const before = this.#wireBytes;
    const kept = await old.process.call('divergedBytes').catch(() => 0);
    const followed = old.process.call('followed', position);
    const healed = now();
    for (const proxy of this.#proxies) proxy.setAccepting('forward');
    const tookMs = (await followed) - healed;
    await this.equal();
    return { tookMs, wireBytes: this.#wireBytes - before, divergedBytes: (await old.process.call('divergedBytes')) - kept };
  }

  async close(): Promise<void> {
    await Promise.all(this.#sides.map(({ process }) => process.kill()));
    await Promise.all(this.#proxies.map(proxy => proxy.close()));
  }

  get #wireBytes(): number {
    return this.#proxies.reduce((sum, proxy) => sum + proxy.forwardedBytes, 0);
  }

  async #open({ process, name, data, primary, standby }: Side, role?: 'primary' | 'secondary'): Promise<void> {
    await process.call('open', { data, site: name, primary, standby, ...(role === undefined ? {} : { role }) });
  }
}

function pauseOf(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}
