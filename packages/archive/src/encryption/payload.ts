import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { releaseMemory } from '../format/memory.ts';

/**
 * The payload of the format age-encryption.org/v1: pieces of 64 KiB, each sealed by ChaCha20-Poly1305 under a number of
 * its own; the last one says that it is the last. OpenSSL does it ten times as fast as the library, which makes the
 * headers.
 */
export const PAYLOAD_NONCE_BYTES = 16;
const PIECE_BYTES = 64 * 1024;
const TAG_BYTES = 16;
const CIPHER = 'chacha20-poly1305';

export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** How long a payload becomes; an empty one has one piece, too. */
export function sealedLength(plain: number): number {
  return plain + TAG_BYTES * Math.max(1, Math.ceil(plain / PIECE_BYTES));
}

/** Writes the sealed payload to `target`, which begins with room for `sealedLength` bytes. */
export function sealPayload(key: Uint8Array, plain: Uint8Array, target: Uint8Array): void {
  let offset = 0;
  for (let start = 0, number = 0; start === 0 || start < plain.length; start += PIECE_BYTES, number++) {
    const isLast = start + PIECE_BYTES >= plain.length;
    const cipher = createCipheriv(CIPHER, key, pieceNonce(number, isLast), { authTagLength: TAG_BYTES });
    const sealed = cipher.update(plain.subarray(start, start + PIECE_BYTES));
    cipher.final();
    target.set(sealed, offset);
    target.set(cipher.getAuthTag(), offset + sealed.length);
    offset += sealed.length + TAG_BYTES;
    releaseMemory(sealed);
  }
}

/** @returns undefined if a piece is not what was sealed, or if pieces are missing, moved or added */
export function openPayload(key: Uint8Array, sealed: Uint8Array): Buffer | undefined {
  const pieces = Math.ceil(sealed.length / (PIECE_BYTES + TAG_BYTES));
  if (sealed.length < TAG_BYTES) return undefined;
  const plain = Buffer.allocUnsafeSlow(Math.max(0, sealed.length - pieces * TAG_BYTES));
  for (let number = 0; number < pieces; number++) {
    const start = number * (PIECE_BYTES + TAG_BYTES);
    const piece = sealed.subarray(start, start + PIECE_BYTES + TAG_BYTES);
    const length = piece.length - TAG_BYTES;
    if (length < 0 || (length === 0 && number > 0)) return undefined;
    const decipher = createDecipheriv(CIPHER, key, pieceNonce(number, number === pieces - 1), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(piece.subarray(length));
    const opened = decipher.update(piece.subarray(0, length));
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    plain.set(opened, number * PIECE_BYTES);
    releaseMemory(opened);
  }
  return plain;
}

/** The piece's number in eleven bytes, the highest first, then 1 for the last piece. */
function pieceNonce(number: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(number, 7);
  nonce[11] = isLast ? 1 : 0;
  return nonce;
}
