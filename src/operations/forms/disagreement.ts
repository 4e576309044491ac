// The error for an answer that does not have the agreed form, and what is read of values of any kind.

export class DisagreementError extends Error {
  override readonly name = 'DisagreementError'
}

export function disagree(what: string): never {
  throw new DisagreementError(what)
}

/** An object of JSON, or a map of MessagePack. */
export type Fields = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const isWholeNumber = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0

/** Returns undefined when the text is not JSON. */
export function tryParseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A revision, an index or a count, which an answer has under this name. */
export const decodeWholeNumber = (value: unknown, name: string): number =>
  isWholeNumber(value) ? value : disagree(`"${name}" is not a whole number`)
