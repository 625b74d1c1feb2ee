import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Decrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { describe, expect, it } from 'vitest';
import { Recipients } from './recipients.ts';
import { X25519Recipient } from './x25519-recipient.ts';

const RECIPIENT = 'age1yx47sjfaw3m5fpefj2ukehrvmnusvgvll3lr5e5wleajev0anf5sj2fasq';
const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';

/** BIP 173, «Checksum», with the prefix «age». @returns the text of these values */
function bech32(values: readonly number[]): string {
  const generators = [0x3b6a_57b2n, 0x2650_8e6dn, 0x1ea1_19fan, 0x3d42_33ddn, 0x2a14_62b3n];
  let sum = 1n;
  for (const value of [3, 3, 3, 0, 1, 7, 5, ...values, 0, 0, 0, 0, 0, 0]) {
    const top = sum >> 25n;
    sum = ((sum & 0x1ff_ffffn) << 5n) ^ BigInt(value);
    for (let bit = 0; bit < 5; bit++) if (((top >> BigInt(bit)) & 1n) === 1n) sum ^= generators[bit]!;
  }
  const checksum = [5, 4, 3, 2, 1, 0].map(place => Number(((sum ^ 1n) >> BigInt(5 * place)) & 31n));
  return `age1${[...values, ...checksum].map(value => ALPHABET[value]).join('')}`;
}

function valuesOf(text: string): number[] {
  return Array.from(text.slice(4, -6), character => ALPHABET.indexOf(character));
}

describe('X25519 recipients', () => {
  it('reads a recipient, and none of which a character was changed', () => {
    expect(X25519Recipient.parse(RECIPIENT)).toBeDefined();
    for (let at = 4; at < RECIPIENT.length; at++) {
      const other = ALPHABET[(ALPHABET.indexOf(RECIPIENT[at]!) + 1) % ALPHABET.length]!;
      const changed = RECIPIENT.slice(0, at) + other + RECIPIENT.slice(at + 1);
      expect(X25519Recipient.parse(changed), changed).toBeUndefined();
      expect(() => Recipients.parse([changed])).toThrow('is no recipient');
    }
  });

  it('reads none with bits behind its 32 bytes', () => {
    const values = valuesOf(RECIPIENT);
    expect(bech32(values)).toBe(RECIPIENT);
    expect(X25519Recipient.parse(bech32([...values.slice(0, -1), values.at(-1)! | 1]))).toBeUndefined();
  });

  it('leaves other kinds to the library', async () => {
    const hybrid = await identityToRecipient(await generateHybridIdentity());
    expect(X25519Recipient.parse(hybrid)).toBeUndefined();
    expect(Recipients.parse([hybrid]).hashes).toHaveLength(1);
  });

  it('lets each of several read what was encrypted for them', async () => {
    const identities = await Promise.all([1, 2, 3].map(() => generateX25519Identity()));
    const texts = await Promise.all(identities.map(identity => identityToRecipient(identity)));
    const plain = Buffer.from('for three');
    const file = await Recipients.parse(texts).encrypt(plain);
    for (const identity of identities) {
      const decrypter = new Decrypter();
      decrypter.addIdentity(identity);
      expect(Buffer.from(await decrypter.decrypt(file)).equals(plain)).toBe(true);
    }
  });

  it('encrypts without the library', async () => {
    const file = new URL('recipients.ts', import.meta.url).href;
    const script = `
      import { registerHooks } from 'node:module';
      registerHooks({ resolve: (name, context, next) => { if (name === 'age-encryption') throw new Error(name); return next(name, context); } });
      const { Recipients } = await import(${JSON.stringify(file)});
      const file = await Recipients.parse([${JSON.stringify(RECIPIENT)}]).encrypt(Buffer.from('plain'));
      console.log(file.subarray(0, 31).toString());
      let refused = '';
      try { Recipients.parse(['age1other']); } catch (error) { refused = error.cause.message; }
      console.log(refused);`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script]);
    expect(stdout).toBe('age-encryption.org/v1\n-> X25519\nage-encryption\n');
  });
});
