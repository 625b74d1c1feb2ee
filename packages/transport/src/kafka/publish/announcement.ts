import { compareEpochs, covers, decodeFrame, explainFence, highestEpoch } from '@evertree/core';
import type { Epoch, EpochName, ExactPosition, FrameHeader, Hello } from '@evertree/core';
import type { Closing, PlacedReign, PrimaryRecord } from '../control.ts';
import { NewestTable } from '../newest-table.ts';
import type { PublisherSettings } from './settings.ts';

/** What this primary says of itself in the control topic: its hello, brought up to date by the frames that it sends. */
export class Announcement {
  /** This primary's hello when the link began. */
  readonly #hello: Hello;
  readonly #epochs: Epoch[];
  /** The furthest frame sent that is not older than the hello. */
  #last: FrameHeader | undefined;

  /** The same object until another reign begins. */
  #reign: EpochName;

  /** The topic has said hello, and this primary may write to it. */
  #isTopicOurs = false;
  /** A frame began another site's epoch after this one's: this site leads no more, and writes nothing from there on. */
  #isSucceeded = false;

  constructor(hello: Hello) {
    this.#hello = hello;
    this.#epochs = [...hello.epochs];
    this.#reign = nameOf(highestEpoch(hello.epochs, hello.position));
  }

  /** Under which this primary writes. The same object as long as it lasts. */
  get reign(): EpochName {
    return this.#reign;
  }

  /** This primary has handed over: another site writes behind it, which is no rival. */
  get isEnded(): boolean {
    return this.#epochs.at(-1)?.end !== undefined;
  }

  get hello(): Hello {
    const last = this.#last;
    if (last === undefined) return this.#hello;
    return { ...this.#hello, stream: last.stream, position: last.last, digest: last.digest, epochs: this.#epochs };
  }

  /**
   * The topic has said hello. A primary that is about to be refused is not announced to the readers.
   * @param isOutnumbered another site of its number leads there
   */
  met({ stream, position, fencedBy }: Hello, isOutnumbered: boolean): void {
    const { epochs, position: last } = this.#hello;
    const isOurs = stream === null || (stream === this.#hello.stream && covers({ epochs, last }, position));
    this.#isTopicOurs = isOurs && fencedBy === undefined && !isOutnumbered;
  }

  /** Whether a position lies beside the history of this primary, in an epoch below its own. */
  isSuperseded(position: ExactPosition): boolean {
    return new NewestTable(this.hello.epochs).isSuperseded(position);
  }

  /** Whether this primary's history went through a position. */
  covers(position: ExactPosition): boolean {
    const { epochs, position: last } = this.hello;
    return covers({ epochs, last }, position);
  }

  /** How another primary's hello fences this one; undefined if its epoch is not above. */
  outrankedBy({ site, stream, epochs, position }: Hello, topic: string): string | undefined {
    const ours = this.hello;
    const { number, id } = highestEpoch(epochs, position);
    if (stream !== ours.stream || compareEpochs({ number, id }, highestEpoch(ours.epochs, ours.position)) <= 0) return undefined;
    return explainFence({ number, id, begun: true }, `${site} announces itself in ${topic} as the primary`);
  }

  /** What `.control` is to say of this primary; undefined as long as it is to say nothing. */
  record({ limits, partition }: PublisherSettings, claim: PlacedReign | undefined, closing?: Closing): PrimaryRecord | undefined {
    if (!this.#isTopicOurs) return undefined;
    const hello = { ...this.hello, heartbeatMs: limits.heartbeatMs };
    return { hello, partition, ...(claim === undefined ? {} : { claim }), ...(closing === undefined ? {} : { closing }) };
  }

  /** A frame is sent. A frame that is sent again may be older than the hello. @returns whether it is this primary's to send */
  sent(header: FrameHeader, bytes: Uint8Array): boolean {
    if (header.last.revision <= (this.#last?.last ?? this.#hello.position).revision) return true;
    if (header.beginsEpoch && this.#isAnothers(header, bytes)) this.#isSucceeded = true;
    if (this.#isSucceeded) return false;
    this.#last = header;
    if (header.beginsEpoch) this.#begin(header, bytes);
    if (header.endsEpoch) this.#end(header, bytes);
    return true;
  }

  /** Whether the frame begins an epoch of another site, which is not in the history that this primary had at its hello. */
  #isAnothers(header: FrameHeader, bytes: Uint8Array): boolean {
    const isKnown = this.#epochs.some(({ number, id }) => number === header.epoch && id === header.epochId);
    const site = isKnown ? undefined : decodeFrame({ header, bytes }).note?.epoch?.site;
    return site !== undefined && site !== this.#hello.site;
  }

  #begin(header: FrameHeader, bytes: Uint8Array): void {
    if (this.#epochs.some(epoch => epoch.number === header.epoch && epoch.id === header.epochId)) return;
    const epoch = decodeFrame({ header, bytes }).note?.epoch;
    const { epoch: number, epochId: id, base, firstTime: time } = header;
    this.#epochs.push({ number, id, site: epoch?.site ?? this.#hello.site, base, reason: epoch?.reason ?? '', time });
    if (number > this.#reign.number) this.#reign = { number, id };
  }

  #end(header: FrameHeader, bytes: Uint8Array): void {
    const end = decodeFrame({ header, bytes }).note?.handover;
    const at = this.#epochs.findLastIndex(epoch => epoch.number === header.epoch && epoch.id === header.epochId);
    if (at >= 0 && end !== undefined) this.#epochs[at] = { ...this.#epochs[at]!, end };
  }
}

function nameOf({ number, id }: EpochName): EpochName {
  return { number, id };
}
