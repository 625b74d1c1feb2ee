/** Buffers that share a pool are shorter, and so is the pool. */
const OWN_BYTES = 128 * 1024;

/**
 * Gives memory back at once: the collector lets tens of MiB of buffers gather before it looks. Nobody may use it
 * afterwards. What may lie in a pool is left to the collector.
 * @param bytes that have all of the memory in which they lie for themselves, unless that is a pool
 */
export function releaseMemory({ buffer, byteLength }: ArrayBufferView): void {
  const isOwn = buffer.byteLength >= OWN_BYTES || byteLength === buffer.byteLength;
  if (isOwn && byteLength > 0 && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** The same for bytes from which others were made, unless those lie in the same memory. */
export function releaseSource(bytes: Uint8Array, made: Uint8Array): void {
  if (bytes.buffer !== made.buffer) releaseMemory(bytes);
}
