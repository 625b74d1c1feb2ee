import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder, fillOnce } from '../cache-folder.ts';

export const VERSITYGW_VERSION = '1.8.0';
/** As its go.mod asks. */
const OLDEST_GO = '1.25';
/** It was 166 s on two cores that had nothing else to do. */
const BUILD_LIMIT_MS = 900_000;
const FOLDER = cacheFolder(`versitygw-${VERSITYGW_VERSION}`);
const PROGRAM = join(FOLDER, 'versitygw');

const REMEDY =
  `Install Go ${OLDEST_GO} or newer (https://go.dev/dl; macOS: brew install go; Debian's own is too old), so that \`go\` is on the PATH; ` +
  'the first run builds versitygw from the Go module proxy.';

const execute = promisify(execFile);

/** Why no S3 server can be started on this machine, and what helps; undefined when one can. */
export async function findObstacle(): Promise<string | undefined> {
  if (isBuilt()) return undefined;
  const go = await readGoVersion();
  if (go === undefined) return `There is no \`go\` on the PATH. ${REMEDY}`;
  if (isOlder(go, OLDEST_GO)) return `The \`go\` on the PATH is ${go}, too old for versitygw ${VERSITYGW_VERSION}. ${REMEDY}`;
  return undefined;
}

function isBuilt(): boolean {
  return existsSync(PROGRAM);
}

/**
 * The program versitygw, from the cache folder; the first time it is built into it. Several processes may ask at once.
 *
 * @param tell is given a line when this is going to take a while
 * @param signal ends a build
 * @throws with the remedy when there is no Go or it can't be built
 */
export async function provideVersitygw(tell: (line: string) => void, signal?: AbortSignal): Promise<string> {
  const obstacle = await findObstacle();
  if (obstacle !== undefined) throw new Error(obstacle);
  if (!isBuilt()) {
    tell(`Building versitygw ${VERSITYGW_VERSION} from the Go module proxy into ${FOLDER} (some minutes, once) …`);
    await fillOnce(FOLDER, own => build(own, signal));
  }
  return PROGRAM;
}

async function build(folder: string, signal: AbortSignal | undefined): Promise<void> {
  const args = ['install', '-trimpath', `github.com/versity/versitygw/cmd/versitygw@v${VERSITYGW_VERSION}`];
  // GOFLAGS and GOOS of a user's shell are meant for other things.
  const env = { ...process.env, GOBIN: folder, GOFLAGS: '', GOOS: '', GOARCH: '' };
  try {
    await execute('go', args, { env, timeout: BUILD_LIMIT_MS, ...(signal === undefined ? {} : { signal }) });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(
      `versitygw ${VERSITYGW_VERSION} could not be built within ${BUILD_LIMIT_MS} ms. ` +
        `Let this machine reach the Go module proxy (GOPROXY names another one) and try again.\n${stdout}${stderr}`,
      { cause: error },
    );
  }
}

/** «1.26.8»; undefined where there is no Go. */
async function readGoVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await execute('go', ['env', 'GOVERSION']);
    return /go(\d+\.\d+(?:\.\d+)?)/.exec(stdout)?.[1] ?? stdout.trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error('`go env GOVERSION` fails: mend the Go on the PATH.', { cause: error });
  }
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [thanMajor = 0, thanMinor = 0] = than.split('.').map(Number);
  return major < thanMajor || (major === thanMajor && minor < thanMinor);
}
