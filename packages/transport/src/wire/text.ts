/** Text from the far end, fit for a terminal and a log. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').trim();
}
