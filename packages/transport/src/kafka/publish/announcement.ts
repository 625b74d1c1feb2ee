import { decodeFrame, highestEpoch } from '@evertree/core';
import type { Epoch, FrameHeader, Hello } from '@evertree/core';

/** What this primary says of itself in the control topic: its hello, brought up to date by the frames that it sends. */
export class Announcement {
  readonly #hello: Hello;
  readonly #epochs: Epoch[];
  #last: FrameHeader | undefined;

  constructor(hello: Hello) {
    this.#hello = hello;
    this.#epochs = [...hello.epochs];
  }

  get hello(): Hello {
    const last = this.#last;
    if (last === undefined) return this.#hello;
    return { ...this.#hello, stream: last.stream, position: last.last, digest: last.digest, epochs: this.#epochs };
  }

  /** A frame goes out. Those that the topic gets anew are older than the hello. */
  sent(header: FrameHeader, bytes: Uint8Array): void {
    if (header.last.revision <= (this.#last?.last ?? this.#hello.position).revision) return;
    this.#last = header;
    if (header.beginsEpoch) this.#begin(header, bytes);
  }

  #begin(header: FrameHeader, bytes: Uint8Array): void {
    if (highestEpoch(this.#epochs, this.#hello.position).id === header.epochId) return;
    const { epoch } = decodeFrame({ header, bytes });
    const { epoch: number, epochId: id, base, firstTime: time } = header;
    this.#epochs.push({ number, id, site: epoch?.site ?? this.#hello.site, base, reason: epoch?.reason ?? '', time });
  }
}
