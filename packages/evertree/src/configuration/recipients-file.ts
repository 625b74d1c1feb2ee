/** A recipient of age in Bech32: what it is (X25519, or that with a post-quantum key), 1, its bytes, a checksum. */
const RECIPIENT = /^(?<kind>age|age1pq)1(?<data>[02-9ac-hj-np-z]{58,})$/;
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
  const { kind, data } = RECIPIENT.exec(line)?.groups ?? {};
  if (kind === undefined || data === undefined) return `${quoted}, which is no recipient; write age1…, as age-keygen -y prints it`;
  return hasChecksum(kind, data) ? undefined : `${quoted}, whose checksum is wrong: a character was changed; copy it again`;
}

/** BIP 173. */
function hasChecksum(kind: string, data: string): boolean {
  const high = Array.from(kind, character => character.charCodeAt(0) >> 5);
  const low = Array.from(kind, character => character.charCodeAt(0) & 31);
  const values = Array.from(data, character => BECH32.indexOf(character));
  let sum = 1;
  for (const value of [...high, 0, ...low, ...values]) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    GENERATORS.forEach((generator, bit) => {
      if (((top >>> bit) & 1) === 1) sum ^= generator;
    });
  }
  return sum === 1;
}
