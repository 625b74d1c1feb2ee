import { existsSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Distribution, formatLog } from './distribution.ts';
import { makeSecurity, type Security } from './security.ts';
import { type Listener, type Properties, writeMetaProperties, writeProperties } from './server-properties.ts';

/** Where a broker keeps everything it writes. */
export interface BrokerFolder {
  /** The file of server properties. */
  readonly properties: string;
  /** For what Java unpacks. */
  readonly temporary: string;
  readonly security: Security | undefined;
}

/** Makes a folder ready for a start. What an earlier broker logged there stays. */
export async function prepareFolder(
  folder: string,
  distribution: Distribution,
  listeners: readonly Listener[],
  { users, serverProperties = {} }: { readonly users?: Readonly<Record<string, string>>; readonly serverProperties?: Properties },
): Promise<BrokerFolder> {
  const [log, temporary, properties] = [join(folder, 'log'), join(folder, 'tmp'), join(folder, 'server.properties')];
  for (const each of [log, temporary]) await mkdir(each, { recursive: true });
  const security = users === undefined ? undefined : await makeSecurity(folder, users);
  await writeFile(properties, writeProperties(log, listeners, security?.properties ?? {}, serverProperties), { mode: 0o600 });
  const metaProperties = join(log, 'meta.properties');
  if (!existsSync(metaProperties)) {
    if (users !== undefined) {
      await formatLog(distribution.classPath, properties, users);
    } else {
      await copyFile(distribution.bootstrapCheckpoint, join(log, 'bootstrap.checkpoint'));
      await writeFile(metaProperties, writeMetaProperties());
    }
  }
  return { properties, temporary, security };
}
