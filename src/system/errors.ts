// Errors as they are caught: a thrown value is not always an Error, and not always one of this realm.

/**
 * True also for errors that are no `instanceof Error`: test runners give each file another global object (node:vm), so
 * errors from Node and LevelDB come from another one.
 */
export const isError = (thrown: unknown): thrown is Error =>
  thrown instanceof Error || Object.prototype.toString.call(thrown) === '[object Error]'

export const asError = (thrown: unknown): Error => (isError(thrown) ? thrown : new Error(String(thrown)))

export const hasErrorCode = (thrown: unknown, ...codes: readonly string[]): boolean =>
  isError(thrown) && 'code' in thrown && codes.some((code) => thrown.code === code)
