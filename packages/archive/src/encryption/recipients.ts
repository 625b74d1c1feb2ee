import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { EvertreeError } from '@evertree/core';
import type { Stanza } from 'age-encryption';
import { ageLibrary } from './age-library.ts';
import { PAYLOAD_NONCE_BYTES, payloadKey, sealedLength, sealPayload } from './payload.ts';
import { unpadded, X25519Recipient } from './x25519-recipient.ts';

/** Bytes that a payload of nothing has behind the header: its nonce is kept, its one sealed piece is not. */
const EMPTY_PIECE_BYTES = sealedLength(0);
const FILE_KEY_BYTES = 16;

/** Whoever may read an archive: age recipients. Whoever holds them alone can encrypt and read nothing. */
export class Recipients {
  /** SHA-256 of each recipient's text, sorted: what HEAD says of them. */
  readonly hashes: readonly string[];
  readonly #texts: readonly string[];
  /** The same, where all of them are of this kind. */
  readonly #x25519: readonly X25519Recipient[] | undefined;

  private constructor(texts: readonly string[]) {
    this.#texts = texts;
    const parsed = texts.map(text => X25519Recipient.parse(text));
    this.#x25519 = parsed.every(recipient => recipient !== undefined) ? parsed : undefined;
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
    const { start, key } = this.#x25519 === undefined ? await this.#startByLibrary() : startFor(this.#x25519);
    const file = Buffer.allocUnsafeSlow(start.length + sealedLength(plain.length));
    file.set(start);
    sealPayload(key, plain, file.subarray(start.length));
    return file;
  }

  async #startByLibrary(): Promise<FileStart> {
    const { Encrypter } = ageLibrary();
    const encrypter = new Encrypter();
    let fileKey: Uint8Array | undefined;
    for (const text of this.#texts) encrypter.addRecipient(text);
    // It is asked last, after the real recipients, and adds nothing to the header.
    encrypter.addRecipient({ wrapFileKey: (key): Stanza[] => ((fileKey = key), []) });
    const empty = await encrypter.encrypt(new Uint8Array(0));
    const start = empty.subarray(0, empty.length - EMPTY_PIECE_BYTES);
    return { start, key: payloadKey(fileKey!, start.subarray(-PAYLOAD_NONCE_BYTES)) };
  }
}

/** A file up to its sealed pieces, and the key of these. */
interface FileStart {
  readonly start: Uint8Array;
  readonly key: Uint8Array;
}

/** As age-encryption.org/v1 says it: the key wrapped for each, a sum with that key, and the nonce of the payload. */
function startFor(recipients: readonly X25519Recipient[]): FileStart {
  const fileKey = randomBytes(FILE_KEY_BYTES);
  const header = `age-encryption.org/v1\n${recipients.map(recipient => recipient.wrap(fileKey)).join('')}---`;
  const sumKey = hkdfSync('sha256', fileKey, new Uint8Array(0), 'header', 32);
  const sum = createHmac('sha256', new Uint8Array(sumKey)).update(header).digest();
  const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
  return { start: Buffer.concat([Buffer.from(`${header} ${unpadded(sum)}\n`), nonce]), key: payloadKey(fileKey, nonce) };
}

function assertRecipient(text: string): void {
  if (text.startsWith('AGE-SECRET-KEY-')) {
    const message =
      'a line is an identity, which decrypts; a site that archives must not hold it: write the recipient, "age-keygen -y" prints it';
    throw new EvertreeError('CONFIGURATION_INVALID', message);
  }
  if (X25519Recipient.parse(text) !== undefined) return;
  try {
    new (ageLibrary().Encrypter)().addRecipient(text);
  } catch (error) {
    const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
    throw new EvertreeError('CONFIGURATION_INVALID', `${shown} is no recipient; write "age1…", as "age-keygen -y" prints it`, {}, error);
  }
}
