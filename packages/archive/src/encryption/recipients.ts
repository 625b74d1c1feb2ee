import { createHash } from 'node:crypto';
import { EvertreeError } from '@evertree/core';
import { Encrypter, type Stanza } from 'age-encryption';
import { PAYLOAD_NONCE_BYTES, payloadKey, sealedLength, sealPayload } from './payload.ts';

/** Bytes that a payload of nothing has behind the header: its nonce is kept, its one sealed piece is not. */
const EMPTY_PIECE_BYTES = sealedLength(0);

/** Whoever may read an archive: age recipients. Whoever holds them alone can encrypt and read nothing. */
export class Recipients {
  /** SHA-256 of each recipient's text, sorted: what HEAD says of them. */
  readonly hashes: readonly string[];
  readonly #texts: readonly string[];

  private constructor(texts: readonly string[]) {
    this.#texts = texts;
    this.hashes = texts.map(text => createHash('sha256').update(text).digest('hex')).toSorted();
  }

  /**
   * Reads files of recipients as `age -R` does: one `age1…` a line, empty lines and lines that begin with `#` are skipped.
   * @param texts what the files hold
   * @throws EvertreeError CONFIGURATION_INVALID for a line that is no recipient, and if there is none at all
   */
  static parse(texts: readonly string[]): Recipients {
    const found = new Set<string>();
    for (const line of texts.flatMap(text => text.split(/\r?\n/))) {
      const text = line.trim();
      if (text === '' || text.startsWith('#')) continue;
      assertRecipient(text);
      found.add(text);
    }
    if (found.size > 0) return new Recipients([...found]);
    const message = 'there is no recipient in what was given; write one "age1…" a line, as "age-keygen -y" prints it';
    throw new EvertreeError('CONFIGURATION_INVALID', message);
  }

  /** Encrypts for all of them, with a key of its own: a file as `age` writes it, not armored. */
  async encrypt(plain: Uint8Array): Promise<Buffer> {
    const encrypter = new Encrypter();
    let fileKey: Uint8Array | undefined;
    for (const text of this.#texts) encrypter.addRecipient(text);
    // It is asked last, after the real recipients, and adds nothing to the header.
    encrypter.addRecipient({ wrapFileKey: (key): Stanza[] => ((fileKey = key), []) });
    const empty = await encrypter.encrypt(new Uint8Array(0));
    const start = empty.length - EMPTY_PIECE_BYTES;
    const key = payloadKey(fileKey!, empty.subarray(start - PAYLOAD_NONCE_BYTES, start));
    const file = Buffer.allocUnsafeSlow(start + sealedLength(plain.length));
    file.set(empty.subarray(0, start));
    sealPayload(key, plain, file.subarray(start));
    return file;
  }
}

function assertRecipient(text: string): void {
  if (text.startsWith('AGE-SECRET-KEY-')) {
    const message =
      'a line is an identity, which decrypts; a site that archives must not hold it: write the recipient, "age-keygen -y" prints it';
    throw new EvertreeError('CONFIGURATION_INVALID', message);
  }
  try {
    new Encrypter().addRecipient(text);
  } catch (error) {
    const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
    throw new EvertreeError('CONFIGURATION_INVALID', `${shown} is no recipient; write "age1…", as "age-keygen -y" prints it`, {}, error);
  }
}
