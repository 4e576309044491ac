// How a client decodes values of any kind in an answer, and the error for an answer that is not of the agreed form.

import { asRevision, type KeyRevisions, type Revision } from './store.ts'

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

// ---------------------------------------------------------------------------------------------------------------------
// Fields of an answer. `name` is that of the field, for the error. Each function throws `DisagreementError` for a value
// of another type.

/** An index, a count, or a time. */
export const decodeWholeNumber = (value: unknown, name: string): number =>
  isWholeNumber(value) ? value : disagree(`"${name}" is not a whole number`)

export const decodeRevision = (value: unknown, name: string): Revision =>
  asRevision(decodeWholeNumber(value, name))

export const decodeString = (value: unknown, name: string): string =>
  typeof value === 'string' ? value : disagree(`"${name}" is not a string`)

export const decodeBoolean = (value: unknown, name: string): boolean =>
  typeof value === 'boolean' ? value : disagree(`"${name}" is neither true nor false`)

export const decodeList = (value: unknown, name: string): readonly unknown[] =>
  Array.isArray(value) ? value : disagree(`"${name}" is not a list`)

/** Decodes an object with fields of its own. `what` names it in the error. */
export const decodeObject = (value: unknown, what: string): Fields =>
  isObject(value) ? value : disagree(`${what} is not an object`)

/** Decodes a field that may be missing or null. `what` names it in the error. */
export function decodeOptionalString(value: unknown, what: string): string | undefined {
  if (value === undefined || value === null) return undefined
  return typeof value === 'string' ? value : disagree(`${what} is not a string`)
}

export const decodeRevisions = ({ create_revision, mod_revision, version }: Fields): KeyRevisions => ({
  createRevision: decodeRevision(create_revision, 'create_revision'),
  modRevision: decodeRevision(mod_revision, 'mod_revision'),
  version: decodeWholeNumber(version, 'version'),
})

/** The time of a change, in milliseconds since 1970; undefined: it was not requested, or is not known. */
export const decodeTime = (value: unknown): number | undefined =>
  value === undefined || value === null ? undefined : decodeWholeNumber(value, 'the time of a change')

/** The user who wrote a record; undefined: rights were not checked. */
export const decodeWriter = (value: unknown): string | undefined =>
  decodeOptionalString(value, 'the writer of a record')
