/** Characters that move the cursor, colour the terminal or begin a line: whoever commits may put them into a name. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** A text of others as one line that does nothing to a terminal: control characters are spelt as in JSON. */
export function visible(text: string): string {
  return text.replaceAll(CONTROL, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
