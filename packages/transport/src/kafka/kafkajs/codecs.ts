import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import kafkajs from 'kafkajs';
import { UNFOLDED_LIMIT_BYTES } from '../client/settings.ts';

const bound = { maxOutputLength: UNFOLDED_LIMIT_BYTES };
const { GZIP, ZSTD } = kafkajs.CompressionTypes;

/** kafkajs hands over its encoder, whose bytes these are. */
interface Encoder {
  readonly buffer: Buffer;
}

function codec(compress: (bytes: Buffer) => Promise<Buffer>, decompress: (bytes: Buffer, options: typeof bound) => Promise<Buffer>) {
  return () => ({
    compress: ({ buffer }: Encoder) => compress(buffer),
    decompress: (bytes: Buffer) => decompress(bytes, bound),
  });
}

/** Lets kafkajs read and write zstd, and bounds every decompression. */
export function registerCodecs(): void {
  kafkajs.CompressionCodecs[ZSTD] = codec(promisify(zstdCompress), promisify(zstdDecompress));
  kafkajs.CompressionCodecs[GZIP] = codec(promisify(gzip), promisify(gunzip));
}
