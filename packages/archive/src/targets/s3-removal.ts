import { DeleteObjectCommand, DeleteObjectsCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { EvertreeError, isEvertreeError } from '@evertree/core';
import { isFailure, type S3Run } from './s3-attempts.ts';
import type { S3Place } from './s3-errors.ts';
import type { S3Location } from './s3-location.ts';

/** The most keys of one request, by S3's own rule. */
const BATCH_KEYS = 1_000;
/** Requests at once for keys that go one at a time. */
const PARALLEL = 8;
/** What is still there is removed so often. */
const ROUNDS = 3;

/** Removes objects, and looks whether they are gone: a service may say so and keep them. */
export class S3Removal {
  readonly #client: () => S3Client;
  readonly #location: S3Location;
  readonly #run: S3Run;
  readonly #place: (action: string, key?: string) => S3Place;
  /** False for a service that was seen to refuse requests that name many keys. */
  #knowsBatches = true;

  constructor(client: () => S3Client, location: S3Location, run: S3Run, place: (action: string, key?: string) => S3Place) {
    this.#client = client;
    this.#location = location;
    this.#run = run;
    this.#place = place;
  }

  async remove(keys: readonly string[]): Promise<void> {
    let left = [...new Set(keys)];
    for (let round = 1; left.length > 0; round++) {
      for (let start = 0; start < left.length; start += BATCH_KEYS) await this.#removeBatch(left.slice(start, start + BATCH_KEYS));
      left = await this.#present(left);
      if (left.length > 0 && round === ROUNDS) throw this.#kept(left);
    }
  }

  async #removeBatch(keys: readonly string[]): Promise<void> {
    if (this.#knowsBatches && keys.length > 1) {
      try {
        return await this.#removeTogether(keys);
      } catch (error) {
        if (!isRefusedBatch(error)) throw error;
        this.#knowsBatches = false;
      }
    }
    await inParallel(keys, key => this.#removeOne(key));
  }

  async #removeTogether(keys: readonly string[]): Promise<void> {
    const Objects = keys.map(key => ({ Key: this.#location.prefix + key }));
    await this.#run(this.#place('removing objects'), async ({ signal }) => {
      const command = new DeleteObjectsCommand({ Bucket: this.#location.bucket, Delete: { Objects, Quiet: true } });
      const { Errors = [] } = await this.#client().send(command, { abortSignal: signal });
      const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey');
      if (failed === undefined) return;
      const message = `${failed.Key ?? 'an object'}: ${failed.Message ?? 'it was not removed'}`;
      throw Object.assign(new Error(message), { name: failed.Code ?? 'InternalError', ...statusOf(failed.Code) });
    });
  }

  async #removeOne(key: string): Promise<void> {
    await this.#run(this.#place('removing', key), async ({ signal }) => {
      try {
        await this.#client().send(new DeleteObjectCommand(this.#named(key)), { abortSignal: signal });
      } catch (error) {
        if (!isFailure(error, ({ name }) => name === 'NoSuchKey')) throw error;
      }
    });
  }

  /** Those that are still there. */
  async #present(keys: readonly string[]): Promise<string[]> {
    const present: string[] = [];
    await inParallel(keys, async key => {
      if (await this.#isPresent(key)) present.push(key);
    });
    return present;
  }

  #isPresent(key: string): Promise<boolean> {
    return this.#run(this.#place('looking at', key), async ({ signal }) => {
      try {
        const { ETag } = await this.#client().send(new HeadObjectCommand(this.#named(key)), { abortSignal: signal });
        return ETag !== undefined;
      } catch (error) {
        if (isFailure(error, ({ status, name }) => status === 404 && name !== 'NoSuchBucket')) return false;
        throw error;
      }
    });
  }

  #kept(keys: readonly string[]): EvertreeError {
    const { target } = this.#place('removing');
    const problem = `the service says that it removed ${keys.length} objects of ${target}, such as ${keys[0]}, and keeps them`;
    const remedy = 'see whether the bucket has a lock or a rule of retention on its objects';
    return new EvertreeError('STORAGE_FAILED', `${problem}; ${remedy}`, { target, key: keys[0] });
  }

  #named(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#location.bucket, Key: this.#location.prefix + key };
  }
}

/** Codes by which services refuse a request that names many keys, or the way in which its sum is given. */
const REFUSED_BATCH: readonly unknown[] = [
  'MissingContentMD5',
  'InvalidRequest',
  'InvalidDigest',
  'NotImplemented',
  'MethodNotAllowed',
  'MalformedXML',
];

function isRefusedBatch(error: unknown): boolean {
  return isEvertreeError(error) && REFUSED_BATCH.includes(error.details['service']);
}

/** As if the service had refused the whole request so. */
function statusOf(code: string | undefined): { readonly $metadata?: { readonly httpStatusCode: number } } {
  return code === 'AccessDenied' ? { $metadata: { httpStatusCode: 403 } } : {};
}

async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const takeAll = async () => {
    for (const item of rest) await act(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, takeAll));
}
