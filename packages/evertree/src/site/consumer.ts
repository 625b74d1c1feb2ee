import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Consumer } from '@evertree/consumer';
import { type EvertreeError, type Store, formatPosition, parseFrame } from '@evertree/core';
import type { ConsumerConfiguration } from '../configuration/configuration.ts';
import { type ConfigurationSource, readConsumerConfiguration } from '../configuration/reading.ts';
import { VERSION } from '../version.ts';
import { checkSettings, directoryOf } from './settings.ts';
import { consumerTransport, held } from './wire.ts';

const QUARANTINE_DIRECTORY = 'quarantine';

/**
 * Makes a store a secondary's, for good, and feeds it from its primary until the consumer is closed. The store stays open.
 * @param configuration a file such as `configs/nettyConsumer.json`, or the same as an object
 * @throws EvertreeError CONFIGURATION_INVALID with everything that is wrong, WRONG_ROLE when the store has commits of its own,
 * UNREACHABLE when the port can't be listened on, UNAUTHENTICATED or FORBIDDEN when a broker refuses this client
 */
export async function startConsumer(store: Store, configuration: ConfigurationSource): Promise<Consumer> {
  const checked = readConsumerConfiguration(configuration);
  checkSettings(store, checked);
  return openConsumer(store, checked);
}

/**
 * As `startConsumer`, of a configuration that was read and checked.
 * @param gaveUp told when the listener failed and will not bind again (`enable-server-auto-restart` is false), or a broker refuses for good
 */
export async function openConsumer(
  store: Store,
  configuration: ConsumerConfiguration,
  gaveUp: (error: Error) => void = () => undefined,
): Promise<Consumer> {
  const consumer = new Consumer({
    store,
    transport: held(await consumerTransport(store, configuration), gaveUp),
    program: `evertree ${VERSION}`,
    keepQuarantined: (frame, error) => keepQuarantined(store, frame, error),
  });
  await consumer.open();
  return consumer;
}

/** Keeps the frame in the site's directory, one file for each position, so that somebody can look at it. */
function keepQuarantined(store: Store, frame: Uint8Array, error: EvertreeError): void {
  const directory = directoryOf(store);
  if (directory === undefined) return;
  const folder = join(directory, QUARANTINE_DIRECTORY);
  const file = join(folder, `${quarantineName(frame)}.evf`);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, frame);
    store.report({ level: 'warn', event: 'frame-kept', message: `the frame is kept in ${file}`, details: { file, code: error.code } });
  } catch (cause) {
    const message = `the frame could not be kept in ${file}: ${String(cause)}`;
    store.report({ level: 'warn', event: 'frame-not-kept', message, details: { file, error: cause } });
  }
}

function quarantineName(bytes: Uint8Array): string {
  try {
    return formatPosition(parseFrame(bytes).header.last);
  } catch {
    // What can't be read as a frame may be just why it is here.
    return 'unreadable';
  }
}
