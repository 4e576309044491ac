// Why something has failed, as text that is kept in the store. What is thrown may be anything, and its message may be
// longer than a value of the store.

const CHARACTERS_MAX = 1_000

export const reasonOf = (error: unknown): string => shortened(textOf(error)) || 'an error without a message'

/** Well-formed, and short enough to be kept beside something else. */
export const shortened = (text: string): string =>
  (text.length > CHARACTERS_MAX ? `${text.slice(0, CHARACTERS_MAX)}…` : text).toWellFormed()

function textOf(value: unknown): string {
  try {
    return String(value instanceof Error ? value.message : value)
  } catch {
    return `a value without a text (${typeof value})`
  }
}
