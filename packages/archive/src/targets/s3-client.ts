import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { EvertreeError } from '@evertree/core';
import { asError } from '@evertree/journal/files';

/** How a service is found and what it is asked as; what is left out is found as AWS tools find it. */
export interface S3Settings {
  readonly endpoint?: string;
  readonly region?: string;
  /** Where nothing else names a region. */
  readonly fallbackRegion?: string;
  readonly profile?: string;
  readonly pathStyle?: boolean;
}

/** A client, and what its errors need to say. */
export interface S3Connection {
  readonly client: S3Client;
  /** Undefined for Amazon's. */
  readonly endpoint: string | undefined;
  readonly region: string;
  /** The one that was named; undefined where AWS_PROFILE, or nobody, names one. */
  readonly profile: string | undefined;
}

/** Services of one's own usually have no regions; some name must be signed. */
const CUSTOM_REGION = 'us-east-1';
const CONNECTION_TIMEOUT_MS = 10_000;
/** Connections that are open at once. */
const MAX_SOCKETS = 32;
/**
 * For the providers of credentials, which are handed what the client is made with. Otherwise they never see that a file
 * of credentials was changed while the process runs.
 */
const READS_FILES_ANEW = { ignoreCache: true };
const nothing = () => undefined;
/** The client writes to the terminal by itself otherwise. */
const SILENT = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

/**
 * Makes a client. It does not try again by itself, for then nobody would know that an attempt before may have taken
 * effect. Its checksums are off: some services refuse them, and what lies in an archive has sums of its own.
 * @throws EvertreeError CONFIGURATION_INVALID
 */
export async function connectS3(settings: S3Settings): Promise<S3Connection> {
  const { endpoint: given, region: givenRegion, fallbackRegion, profile, pathStyle } = settings;
  const common: S3ClientConfig = {
    ...(profile === undefined ? {} : { profile }),
    maxAttempts: 1,
    // With it each PUT would have a connection of its own, and a cut would be noticed after seconds.
    expectContinueHeader: false,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      logger: SILENT,
      httpAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
      httpsAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
    },
  };
  const finder = new S3Client(common);
  try {
    const endpoint = given ?? (await configuredEndpoint(finder));
    const region = givenRegion ?? (await configuredRegion(finder, fallbackRegion ?? (endpoint === undefined ? undefined : CUSTOM_REGION)));
    const client = new S3Client({
      ...common,
      ...READS_FILES_ANEW,
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      forcePathStyle: pathStyle ?? (endpoint !== undefined && !isAmazon(endpoint)),
    });
    return { client, endpoint, region, profile };
  } finally {
    finder.destroy();
  }
}

/** From AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile: the client finds it, and tells it only here. */
async function configuredEndpoint(client: S3Client): Promise<string | undefined> {
  const { serviceConfiguredEndpoint: find } = client.config as unknown as { serviceConfiguredEndpoint?: () => Promise<string | undefined> };
  return find?.();
}

async function configuredRegion(client: S3Client, fallback: string | undefined): Promise<string> {
  try {
    return await client.config.region();
  } catch (error) {
    if (fallback !== undefined) return fallback;
    const problem = `no region is given for Amazon S3 (${asError(error).message})`;
    const remedy = 'give --region, AWS_REGION or a profile with one; for another service give --endpoint';
    throw new EvertreeError('CONFIGURATION_INVALID', `${problem}; ${remedy}`, {}, error);
  }
}

function isAmazon(endpoint: string): boolean {
  return /\.amazonaws\.com(?:\.cn)?$/.test(URL.parse(endpoint)?.hostname ?? '');
}
