import type { Link } from '@evertree/core';
import type { LinkFeed } from './link-feed.ts';

/** The links of one peer, one after the other: at most one is there at a time, and all of them are counted. */
export class PeerLinks {
  /** What feeds the present link; undefined while there is none. */
  #feed: LinkFeed | undefined;
  /** Resolves when the feeds of earlier links have ended. */
  #ended: Promise<void> = Promise.resolve();
  /** Bytes sent over earlier links. */
  #sentBefore = 0;
  /** When the peer was last heard in a log or over an earlier link; the present link knows better. */
  #lastSeen: number | null = null;

  get feed(): LinkFeed | undefined {
    return this.#feed;
  }

  get link(): Link | undefined {
    return this.#feed?.link;
  }

  /** Bytes sent to the peer by this process. */
  get sentBytes(): number {
    return this.#sentBefore + (this.link?.sentBytes ?? 0);
  }

  /** When the peer was last heard, milliseconds since 1970. */
  get lastSeen(): number | null {
    return this.link?.lastSeen ?? this.#lastSeen;
  }

  /** Resolves when the feeds of all released links hold nothing any more. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** The link before has been released. */
  begin(feed: LinkFeed): void {
    this.#feed = feed;
  }

  /** The peer was heard in a log. */
  seen(now: number): void {
    this.#lastSeen = now;
  }

  /** Gives up the present link, without closing it. @returns false when there is none */
  release(): boolean {
    const feed = this.#feed;
    if (feed === undefined) return false;
    this.#sentBefore += feed.link.sentBytes;
    this.#lastSeen = feed.link.lastSeen;
    this.#feed = undefined;
    const stopped = feed.stop();
    this.#ended = this.#ended.then(() => stopped);
    return true;
  }
}
