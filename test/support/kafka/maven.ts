import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export const KAFKA_VERSION = '4.3.0';
/** Some 45 MB from Maven Central, over a slow line. */
const FETCH_LIMIT_MS = 240_000;

/** The server with all it needs, and a log that prints. */
const PROJECT = `<?xml version="1.0"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>evertree</groupId>
  <artifactId>kafka-broker</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

const execute = promisify(execFile);

/**
 * Puts the jars of Apache Kafka into `lib` below `folder`.
 *
 * @throws with what Maven printed
 */
export async function fetchJars(folder: string): Promise<void> {
  await writeFile(join(folder, 'pom.xml'), PROJECT);
  const args = ['-B', '-q', 'dependency:copy-dependencies', '-DincludeScope=runtime', '-DoutputDirectory=lib'];
  try {
    await execute('mvn', args, { cwd: folder, timeout: FETCH_LIMIT_MS });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(
      `Apache Kafka ${KAFKA_VERSION} could not be fetched from Maven Central within ${FETCH_LIMIT_MS} ms. ` +
        `Let this machine reach it (a proxy or a mirror belongs into ~/.m2/settings.xml) and try again.\n${stdout}${stderr}`,
      { cause: error },
    );
  }
}
