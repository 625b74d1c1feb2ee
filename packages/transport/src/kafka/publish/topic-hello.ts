import { ORIGIN, PROTOCOL_VERSIONS, emptyDigest } from '@evertree/core';
import type { FrameHeader, Hello } from '@evertree/core';
import type { LinkMemory } from './link-memory.ts';
import type { PublisherSettings } from './settings.ts';
import type { Tail } from './tail.ts';

/** The program's name in a topic's hello. */
const LOG_PROGRAM = 'Apache Kafka';

/** The topic's hello to a primary. Its position is the end of its last frame. */
export function topicHello(site: string, found: FrameHeader | undefined): Hello {
  return {
    protocols: PROTOCOL_VERSIONS,
    program: LOG_PROGRAM,
    site,
    role: 'secondary',
    stream: found?.stream ?? null,
    position: found?.last ?? ORIGIN,
    digest: found?.digest ?? emptyDigest(),
    epochs: [],
    durable: true,
  };
}

/** Reports what stands at the topic's end beside whole frames of the stream. */
export function tellTail({ strange, torn }: Tail, { topic, report }: PublisherSettings, { once }: LinkMemory): void {
  if (strange > 0) {
    once.tell('strange', {
      level: 'warn',
      event: 'records-passed-over',
      message: `the end of the topic ${topic} has ${strange} records that are no frames of this stream; they are passed over`,
      details: { topic, records: strange },
    });
  }
  if (!torn) return;
  const message = `the topic ${topic} ends in the middle of a frame; the frame is sent again whole`;
  report({ level: 'info', event: 'torn-frame', message, details: { topic } });
}
