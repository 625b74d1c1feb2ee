import { ORIGIN, PROTOCOL_VERSIONS, emptyDigest } from '@evertree/core';
import type { FrameHeader, Hello } from '@evertree/core';
import type { Once } from './once.ts';
import type { Session } from './session.ts';
import type { Tail } from './tail.ts';

/** What is called the program at the other end. */
const RELAY_PROGRAM = 'Apache Kafka';

/** What the topic says to a primary of this stream: where it ends is where it stands. */
export async function relayHello(session: Session, stream: string | null, once: Once): Promise<Hello> {
  const { search } = session;
  // A primary without a commit has no stream: any frame at all is somebody else's.
  const found = () => search.of(stream).last ?? (stream === null ? search.any : undefined);
  while (found() === undefined && search.stepBack()) await session.scan(search);
  tell(session, search.of(stream), once);
  return helloOf(session.settings.farEnd.name, found() ?? search.any);
}

function helloOf(site: string, found: FrameHeader | undefined): Hello {
  return {
    protocols: PROTOCOL_VERSIONS,
    program: RELAY_PROGRAM,
    site,
    role: 'secondary',
    stream: found?.stream ?? null,
    position: found?.last ?? ORIGIN,
    digest: found?.digest ?? emptyDigest(),
    epochs: [],
    durable: true,
  };
}

function tell({ settings }: Session, { strange, torn }: Tail, once: Once): void {
  const { topic, report } = settings;
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
