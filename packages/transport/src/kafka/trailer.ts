/** Where a frame stands in a topic; kept beside it in the secondary's journal. PROTOCOL.md, «A secondary». */
export interface TopicPlace {
  readonly topic: string;
  readonly partition: number;
  /** Of its first record. */
  readonly offset: string;
}

export function encodeTrailer({ topic, partition, offset }: TopicPlace): Buffer {
  return Buffer.from(`kafka ${partition} ${offset} ${topic}`);
}

/** Undefined for another wire's trailer. */
export function decodeTrailer(trailer: Uint8Array): TopicPlace | undefined {
  const match = /^kafka (\d{1,10}) (\d{1,19}) ([A-Za-z0-9._-]{1,249})$/.exec(Buffer.from(trailer).toString());
  return match === null ? undefined : { partition: Number(match[1]), offset: match[2] ?? '', topic: match[3] ?? '' };
}
