// A value as JSON, for the calls that write one.

/** Throws a `TypeError` for a value that JSON does not have: a function, undefined, a cycle. */
export function jsonText(where: string, value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new TypeError(`${where}: value must be JSON`, { cause })
  }
  if (text === undefined) throw new TypeError(`${where}: value must be JSON, not ${typeof value}`)
  return text
}
