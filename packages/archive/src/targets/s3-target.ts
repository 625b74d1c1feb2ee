import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { GetObjectCommand, HeadBucketCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { type Clock, isEvertreeError, type Random } from '@evertree/core';
import { assertObjectKey, isObjectKey } from './object-key.ts';
import { isFailure, S3_LIMITS, S3Attempts, type AttemptBounds, type S3Limits } from './s3-attempts.ts';
import { connectS3, type S3Connection, type S3Settings } from './s3-client.ts';
import type { S3Failure, S3Place } from './s3-errors.ts';
import type { S3Location } from './s3-location.ts';
import { S3Removal } from './s3-removal.ts';
import { ServiceClock } from './service-clock.ts';
import type { ListedObject, ObjectStat, Target, TargetObject } from './target.ts';

export interface S3TargetOptions extends S3Settings {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: Partial<S3Limits>;
}

/** The condition of a write. */
type Condition = { readonly IfNoneMatch: '*' } | { readonly IfMatch: string };

/** Objects in a bucket of an S3 service. Each is written by one request, which the service does whole or not at all. */
export class S3Target implements Target {
  readonly name: string;
  readonly #location: S3Location;
  readonly #options: S3TargetOptions;
  #connection: S3Connection;
  /** The credentials were refused: they are looked for anew before the next request. */
  #isRefused = false;
  readonly #attempts: S3Attempts;
  readonly #serviceClock: ServiceClock;
  readonly #removal: S3Removal;
  /** The service did something with the bucket: what is missing is an object. */
  #bucketSeen = false;

  private constructor(location: S3Location, connection: S3Connection, options: S3TargetOptions) {
    const { clock, random, limits } = options;
    this.#options = options;
    this.name = location.name;
    this.#location = location;
    this.#connection = connection;
    this.#attempts = new S3Attempts(clock, random, { ...S3_LIMITS, ...limits });
    this.#serviceClock = new ServiceClock(clock);
    this.#removal = new S3Removal(
      () => this.#connection.client,
      location,
      (...call) => this.#run(...call),
      (action, key) => this.#place(action, key),
    );
    this.#watchDates();
  }

  /** Sends nothing yet. @throws EvertreeError CONFIGURATION_INVALID */
  static async open(location: S3Location, options: S3TargetOptions): Promise<S3Target> {
    return new S3Target(location, await connectS3(options), options);
  }

  async get(key: string): Promise<TargetObject | undefined> {
    assertObjectKey(key);
    return this.#run(this.#place('reading', key), async bounds => {
      try {
        return await this.#get(key, bounds);
      } catch (error) {
        if (isFailure(error, ({ name }) => name === 'NoSuchKey')) return this.#missing(bounds);
        throw error;
      }
    });
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    assertObjectKey(key);
    return this.#run(this.#place('looking at', key), async bounds => {
      try {
        const found = await this.#connection.client.send(new HeadObjectCommand(this.#named(key)), { abortSignal: bounds.signal });
        this.#seen(found.ETag);
        return { size: found.ContentLength ?? 0, modified: found.LastModified?.getTime() ?? 0 };
      } catch (error) {
        // An answer to HEAD has no body, and so no code.
        if (isFailure(error, ({ status, name }) => status === 404 && name !== 'NoSuchBucket')) return this.#missing(bounds);
        throw error;
      }
    });
  }

  async create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const outcome = await this.#put('writing', key, bytes, { IfNoneMatch: '*' });
    return outcome === undefined ? 'exists' : 'created';
  }

  async replace(key: string, bytes: Uint8Array, tag: string | undefined): Promise<{ readonly tag: string } | 'changed'> {
    return (await this.#put('replacing', key, bytes, tag === undefined ? { IfNoneMatch: '*' } : { IfMatch: tag })) ?? 'changed';
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) assertObjectKey(key);
    await this.#removal.remove(keys);
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    let token: string | undefined;
    do {
      const page: ListObjectsV2CommandOutput = await this.#listPage(prefix, token);
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        const key = Key?.slice(this.#location.prefix.length) ?? '';
        if (isObjectKey(key)) yield { key, size: Size ?? 0, modified: LastModified?.getTime() ?? 0 };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  async now(): Promise<number> {
    const known = this.#serviceClock.now();
    if (known !== undefined) return known;
    await this.stat('HEAD');
    const now = this.#serviceClock.now();
    if (now === undefined) throw new Error(`the service of ${this.name} answers without a date`);
    return now;
  }

  /** Calls that are under way throw CLOSED. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#attempts.close();
    this.#connection.client.destroy();
  }

  async #get(key: string, bounds: AttemptBounds): Promise<TargetObject> {
    const found = await this.#connection.client.send(new GetObjectCommand(this.#named(key)), { abortSignal: bounds.signal });
    bounds.expect(found.ContentLength ?? 0);
    const bytes = await found.Body!.transformToByteArray();
    return { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), tag: this.#seen(found.ETag) };
  }

  /**
   * Writes an object under a condition. Where the service refuses a repeated attempt, an earlier one whose answer was
   * lost may have written it: then the bytes there are these.
   * @returns undefined if the condition does not hold
   */
  #put(action: string, key: string, bytes: Uint8Array, condition: Condition): Promise<{ readonly tag: string } | undefined> {
    assertObjectKey(key);
    const put = async (bounds: AttemptBounds, isRepeated: boolean) => {
      const command = new PutObjectCommand({ ...this.#named(key), ...condition, Body: bytes, ContentLength: bytes.length });
      try {
        const { ETag } = await this.#connection.client.send(command, { abortSignal: bounds.signal });
        return { tag: this.#seen(ETag) };
      } catch (error) {
        if (!isFailure(error, failure => isRefusedCondition(failure, condition))) throw error;
        return isRepeated ? this.#ownWrite(key, bytes) : undefined;
      }
    };
    return this.#run(this.#place(action, key), put, bytes.length);
  }

  async #ownWrite(key: string, bytes: Uint8Array): Promise<{ readonly tag: string } | undefined> {
    const found = await this.get(key);
    return found?.bytes.equals(bytes) === true ? { tag: found.tag } : undefined;
  }

  async #listPage(prefix: string, token: string | undefined): Promise<ListObjectsV2CommandOutput> {
    return this.#run(this.#place('listing', prefix), async ({ signal }) => {
      const { bucket: Bucket, prefix: above } = this.#location;
      const command = new ListObjectsV2Command({
        Bucket,
        Prefix: above + prefix,
        ...(token === undefined ? {} : { ContinuationToken: token }),
      });
      const page = await this.#connection.client.send(command, { abortSignal: signal });
      if (page.Name === undefined) throw notAnS3Service('its list has no name of a bucket');
      if (page.IsTruncated === true && page.NextContinuationToken === undefined) {
        throw notAnS3Service('a page of its list says that there are more, and not where they begin');
      }
      this.#bucketSeen = true;
      return page;
    });
  }

  /** Every answer about an object has its tag; that of a page which a network puts in between has none. */
  #seen(tag: string | undefined): string {
    if (tag === undefined) throw notAnS3Service('its answer has no ETag');
    this.#bucketSeen = true;
    return tag;
  }

  /** Nothing is there, which is no answer where the bucket itself is missing. */
  async #missing({ signal }: AttemptBounds): Promise<undefined> {
    if (this.#bucketSeen) return;
    try {
      await this.#connection.client.send(new HeadBucketCommand({ Bucket: this.#location.bucket }), { abortSignal: signal });
    } catch (error) {
      if (!isFailure(error, ({ status }) => status === 404)) throw error;
      throw Object.assign(new Error('no such bucket', { cause: error }), { name: 'NoSuchBucket' });
    }
    this.#bucketSeen = true;
  }

  async #run<T>(place: S3Place, request: (bounds: AttemptBounds, isRepeated: boolean) => Promise<T>, bytes?: number): Promise<T> {
    if (this.#isRefused) await this.#connectAnew();
    try {
      return await this.#attempts.run(place, request, bytes);
    } catch (error) {
      if (isEvertreeError(error, 'UNAUTHENTICATED')) this.#isRefused = true;
      throw error;
    }
  }

  /** Whoever signed in again, or wrote other credentials, need not start the site again. */
  async #connectAnew(): Promise<void> {
    const before = this.#connection;
    this.#connection = await connectS3(this.#options);
    this.#isRefused = false;
    this.#watchDates();
    before.client.destroy();
  }

  #named(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#location.bucket, Key: this.#location.prefix + key };
  }

  #place(action: string, key?: string): S3Place {
    const { endpoint, region, profile } = this.#connection;
    return { target: this.name, bucket: this.#location.bucket, endpoint, region, profile, action, ...(key === undefined ? {} : { key }) };
  }

  /** Every answer tells the service's time, also one that refuses. */
  #watchDates(): void {
    this.#connection.client.middlewareStack.add(
      next => async values => {
        const result = await next(values);
        const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> };
        this.#serviceClock.note(headers?.['date']);
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'evertreeServiceClock' },
    );
  }
}

function notAnS3Service(problem: string): Error {
  return Object.assign(new Error(problem), { name: 'NotAnS3Service' });
}

/** 412; and 404 where `If-Match` meets no object, which is answered by some services. */
function isRefusedCondition({ name, status }: S3Failure, condition: Condition): boolean {
  return status === 412 || name === 'PreconditionFailed' || ('IfMatch' in condition && status === 404 && name !== 'NoSuchBucket');
}
