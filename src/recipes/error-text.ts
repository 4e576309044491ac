// The text of an error for a record in the store. Application code may throw anything, with a message of any length.

const CHARACTERS_MAX = 1_000

export const errorText = (error: unknown): string =>
  shorten(errorMessage(error)) || 'an error without a message'

/** Cuts a text to at most 1,000 characters, and makes it well-formed. */
export const shorten = (text: string): string =>
  (text.length > CHARACTERS_MAX ? `${text.slice(0, CHARACTERS_MAX)}…` : text).toWellFormed()

function errorMessage(value: unknown): string {
  try {
    return String(value instanceof Error ? value.message : value)
  } catch {
    return `a value without a text (${typeof value})`
  }
}
