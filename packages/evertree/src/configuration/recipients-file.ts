/** An X25519 recipient of age: `age`, the separator 1, 32 bytes and a checksum in Bech32. */
const RECIPIENT = /^age1[02-9ac-hj-np-z]{58}$/;
const HUMAN_PART = 'age';
const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

/** The most of a line that a message repeats. */
const QUOTE_LIMIT_CHARACTERS = 30;

export interface ParsedRecipients {
  readonly recipients: readonly string[];
  /** What is wrong, as it reads after the file's name and «which». */
  readonly problems: readonly string[];
}

/** Reads a file of recipients as `age -R` does: one a line; empty lines and those that begin with # mean nothing. */
export function parseRecipients(text: string): ParsedRecipients {
  const recipients: string[] = [];
  const problems: string[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    const recipient = line.trim();
    if (recipient === '' || recipient.startsWith('#')) return;
    const problem = problemOf(recipient);
    if (problem === undefined) recipients.push(recipient);
    else problems.push(`has on line ${index + 1} ${problem}`);
  });
  return { recipients, problems };
}

function problemOf(line: string): string | undefined {
  // An identity is a secret: a message never repeats it.
  if (line.startsWith('AGE-SECRET-KEY-'))
    return 'an identity, which must not be at a site that archives; write its recipient, as age-keygen -y prints it, and keep the identity elsewhere';
  const quoted = JSON.stringify(line.length > QUOTE_LIMIT_CHARACTERS ? `${line.slice(0, QUOTE_LIMIT_CHARACTERS)}…` : line);
  if (!RECIPIENT.test(line)) return `${quoted}, which is no recipient; write age1… with 62 characters, as age-keygen -y prints it`;
  return hasChecksum(line) ? undefined : `${quoted}, whose checksum is wrong: a character was changed; copy it again`;
}

/** BIP 173. */
function hasChecksum(text: string): boolean {
  const high = Array.from(HUMAN_PART, character => character.charCodeAt(0) >> 5);
  const low = Array.from(HUMAN_PART, character => character.charCodeAt(0) & 31);
  const data = Array.from(text.slice(HUMAN_PART.length + 1), character => BECH32.indexOf(character));
  let sum = 1;
  for (const value of [...high, 0, ...low, ...data]) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    GENERATORS.forEach((generator, bit) => {
      if (((top >>> bit) & 1) === 1) sum ^= generator;
    });
  }
  return sum === 1;
}
