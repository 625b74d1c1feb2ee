/** `{ [name]: value }`, or nothing when there is no value: exact optional properties are never undefined. */
export function optional<K extends string, T>(name: K, value: T | undefined): { [P in K]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: T });
}
