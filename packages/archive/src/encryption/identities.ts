import { createHash } from 'node:crypto';
import { EvertreeError } from '@evertree/core';
import { Decrypter, identityToRecipient } from 'age-encryption';
import { openPayload, PAYLOAD_NONCE_BYTES, payloadKey } from './payload.ts';

/** Where the last line of a file's header begins. */
const LAST_LINE = Buffer.from('\n--- ');
/** The most bytes of a header: some hundred recipients. */
const HEADER_LIMIT_BYTES = 256 * 1024;

/** What decrypts an archive: age identities. */
export class Identities {
  readonly #texts: readonly string[];
  readonly #decrypter = new Decrypter();

  private constructor(texts: readonly string[]) {
    this.#texts = texts;
    for (const text of texts) this.#decrypter.addIdentity(text);
  }

  /**
   * Reads files of identities as `age -i` does: one `AGE-SECRET-KEY-…` a line, empty lines and lines that begin with `#`
   * are skipped. No error quotes what they hold.
   * @throws EvertreeError CONFIGURATION_INVALID
   */
  static parse(texts: readonly string[]): Identities {
    const found = texts
      .flatMap(text => text.split(/\r?\n/))
      .map((line, index) => ({ text: line.trim(), number: index + 1 }))
      .filter(({ text }) => text !== '' && !text.startsWith('#'));
    if (found.length === 0) {
      const message = 'there is no identity in what was given; write one "AGE-SECRET-KEY-…" a line, as "age-keygen" prints it';
      throw new EvertreeError('CONFIGURATION_INVALID', message);
    }
    for (const { text, number } of found) {
      try {
        new Decrypter().addIdentity(text);
      } catch (error) {
        const message = `line ${number} of the identities is ${kindOf(text)}; write "AGE-SECRET-KEY-…", as "age-keygen" prints it`;
        throw new EvertreeError('CONFIGURATION_INVALID', message, { line: number }, error);
      }
    }
    return new Identities(found.map(({ text }) => text));
  }

  /** SHA-256 of the text of each recipient that these belong to: what HEAD names. */
  async hashes(): Promise<readonly string[]> {
    const recipients = await Promise.all(this.#texts.map(text => identityToRecipient(text)));
    return recipients.map(text => createHash('sha256').update(text).digest('hex'));
  }

  /**
   * Decrypts a file as `age` writes it, not armored.
   * @param name what it is, for errors
   * @throws EvertreeError IDENTITY_NEEDED if it is for others; DAMAGED
   */
  async decrypt(file: Uint8Array, name: string): Promise<Buffer> {
    const end = headerEnd(file);
    if (end === undefined) throw damaged(name, 'it is not encrypted as it says: there is no header of age in it');
    const fileKey = await this.#fileKey(file.subarray(0, end), name);
    const start = end + PAYLOAD_NONCE_BYTES;
    const plain = openPayload(payloadKey(fileKey, file.subarray(end, start)), file.subarray(start));
    if (plain === undefined) throw damaged(name, 'what was encrypted was changed or cut since');
    return plain;
  }

  async #fileKey(header: Uint8Array, name: string): Promise<Uint8Array> {
    try {
      return await this.#decrypter.decryptHeader(header);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('no identity matched')) {
        throw damaged(name, 'the header of its encryption is damaged', error);
      }
      const message = `${name} is encrypted for others than the identity that was given; give the identity of one of the archive's recipients`;
      throw new EvertreeError('IDENTITY_NEEDED', message, { object: name });
    }
  }
}

/** What stands where an identity should. */
function kindOf(text: string): string {
  if (text.startsWith('age1')) return 'a recipient, which only encrypts';
  if (/^(age-encryption\.org|-----BEGIN AGE)/.test(text)) return 'a file that is encrypted itself: decrypt it with "age -d" first';
  return 'no identity';
}

/** Where the payload's nonce begins: after the line that begins with three dashes. */
function headerEnd(file: Uint8Array): number | undefined {
  const beginning = Buffer.from(file.buffer, file.byteOffset, Math.min(file.length, HEADER_LIMIT_BYTES));
  const lastLine = beginning.indexOf(LAST_LINE);
  const end = lastLine < 0 ? -1 : beginning.indexOf(0x0a, lastLine + 1);
  return end < 0 || file.length < end + 1 + PAYLOAD_NONCE_BYTES ? undefined : end + 1;
}

function damaged(name: string, problem: string, cause?: unknown): EvertreeError {
  return new EvertreeError('DAMAGED', `${name} is damaged: ${problem}`, { object: name }, cause);
}
