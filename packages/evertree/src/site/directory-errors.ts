import { EvertreeError, isEvertreeError } from '@evertree/core';

/**
 * Does something with a site's directory, and names the directory in errors of its files: a disk knows them only by
 * their names in it.
 */
export async function inDirectory<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isEvertreeError(error, 'DAMAGED') && !isEvertreeError(error, 'FORMAT_UNSUPPORTED')) throw error;
    throw new EvertreeError(error.code, `in ${directory}: ${error.message}`, { ...error.details, directory }, error);
  }
}
