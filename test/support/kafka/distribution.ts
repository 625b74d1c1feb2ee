import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, rename, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, fillOnce, isOnPath } from '../cache-folder.ts';
import { fetchJars, KAFKA_VERSION } from './maven.ts';
import { drawUuid } from './server-properties.ts';

/** Apache Kafka as it stands in the cache folder: what a broker is started from. */
export interface Distribution {
  /** The jars in one fixed order: an archive of classes holds for that order only. */
  readonly classPath: string;
  /**
   * The first metadata of a formatted log folder. Nothing in it belongs to one broker, so every broker may start from a
   * copy.
   */
  readonly bootstrapCheckpoint: string;
  /** Where this Java's archive of the broker's classes is, once it was made. */
  readonly classArchive: string;
}

const OLDEST_JAVA = 17;
const FORMAT_LIMIT_MS = 30_000;
const FOLDER = cacheFolder(`kafka-${KAFKA_VERSION}`);
const CHECKPOINT = 'bootstrap.checkpoint';

const REMEDY =
  `Install Java ${OLDEST_JAVA} or newer and Maven (Debian: apt-get install openjdk-17-jre-headless maven; macOS: brew install openjdk maven), ` +
  'so that `java` and `mvn` are on the PATH; the first run fetches Kafka from Maven Central.';

const execute = promisify(execFile);

/** Why no broker can be started on this machine, and what helps; undefined when one can. */
export async function findObstacle(): Promise<string | undefined> {
  const java = await readJavaVersion();
  if (java === undefined) return `There is no \`java\` on the PATH. ${REMEDY}`;
  if (Number.parseInt(java, 10) < OLDEST_JAVA) return `The \`java\` on the PATH is ${java}, too old for Kafka ${KAFKA_VERSION}. ${REMEDY}`;
  if (!existsSync(FOLDER) && !isOnPath('mvn')) return `There is no \`mvn\` on the PATH. ${REMEDY}`;
  return undefined;
}

/**
 * Apache Kafka, from the cache folder; the first time it is fetched into it. Several processes may ask at once.
 *
 * @param tell is given a line when this is going to take a while
 * @throws with the remedy when there is no Java or nothing can be fetched
 */
export async function provideKafka(tell: (line: string) => void): Promise<Distribution> {
  const obstacle = await findObstacle();
  if (obstacle !== undefined) throw new Error(obstacle);
  const folder = FOLDER;
  if (!existsSync(folder)) {
    tell(`Fetching Apache Kafka ${KAFKA_VERSION} from Maven Central into ${folder} (45 MB, once) …`);
    await fillOnce(folder, async own => {
      await fetchJars(own);
      await keepCheckpoint(own);
    });
  }
  return {
    classPath: await listJars(folder),
    bootstrapCheckpoint: join(folder, CHECKPOINT),
    classArchive: join(folder, `classes-${await readJavaVersion()}.jsa`),
  };
}

/**
 * Runs Kafka's own formatter over the log folder that a file of server properties names.
 *
 * @param users of SCRAM, whose credentials become part of the first metadata: name → password
 */
export async function formatLog(classPath: string, properties: string, users: Readonly<Record<string, string>> = {}): Promise<void> {
  const scram = Object.entries(users).flatMap(([name, password]) => ['--add-scram', `SCRAM-SHA-512=[name=${name},password=${password}]`]);
  const args = ['format', '--cluster-id', drawUuid(), '--config', properties, ...scram];
  await execute('java', ['-XX:TieredStopAtLevel=1', '-cp', classPath, 'kafka.tools.StorageTool', ...args], { timeout: FORMAT_LIMIT_MS });
}

/** «17.0.15+6-Debian-1deb12u1», as whoever built it wrote it; undefined where there is no Java. */
async function readJavaVersion(): Promise<string | undefined> {
  try {
    const { stderr } = await execute('java', ['-version']);
    return /\(build ([^\s,)]+)/.exec(stderr)?.[1];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error('`java -version` fails: mend the Java on the PATH.', { cause: error });
  }
}

/** Formats once, to copy what comes out: running the formatter for each broker costs 0.9 s. */
async function keepCheckpoint(folder: string): Promise<void> {
  const properties = join(folder, 'format.properties');
  const log = join(folder, 'formatted');
  const lines = [
    'process.roles=broker,controller',
    'node.id=1',
    'controller.quorum.voters=1@127.0.0.1:1',
    'controller.listener.names=CONTROLLER',
    'listeners=CONTROLLER://127.0.0.1:1,PLAINTEXT://127.0.0.1:2',
    `log.dirs=${log}`,
  ];
  await writeFile(properties, lines.join('\n'));
  await formatLog(await listJars(folder), properties);
  await rename(join(log, CHECKPOINT), join(folder, CHECKPOINT));
}

async function listJars(folder: string): Promise<string> {
  const names = await readdir(join(folder, 'lib'));
  return names
    .toSorted()
    .map(name => join(folder, 'lib', name))
    .join(delimiter);
}
