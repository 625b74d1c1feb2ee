/** `segment-bytes`, a file's key, is `segmentBytes` in code. */
export type CamelCase<Key> = Key extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : Key;

/** An object of a file with its keys as in code; a key that is missing there is missing here. */
export type InCamelCase<T> = { readonly [Key in keyof T as CamelCase<Key>]?: Exclude<T[Key], undefined> };

export function inCamelCase<T extends object>(object: T | undefined): InCamelCase<T> {
  const present = Object.entries(object ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present.map(([key, value]) => [camelCase(key), value])) as InCamelCase<T>;
}

export function camelCase(key: string): string {
  return key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** The key of a file that a configuration's key comes from. */
export function fileKey(section: string, key: string): string {
  if (section !== 'archive') return kebab(key);
  // The times of this section have their unit in the value.
  return key === 'identity' ? 'identity-file' : kebab(key.replace(/Ms$/, ''));
}

export function kebab(key: string): string {
  return key.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`);
}
