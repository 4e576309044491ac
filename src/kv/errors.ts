// Errors that stop the node. Neither is an answer to a client: those are outcomes (`types.ts`).

export { UnknownKindError } from '../bytes/index.ts'

/** A row to which another row, a register or memory refers does not exist: a disk has changed what was written. */
export class MissingRowError extends Error {
  override readonly name = 'MissingRowError'
}

/** Bytes that no version of this program writes: a bug, or damage that every checksum missed. */
export class MalformedBytesError extends Error {
  override readonly name = 'MalformedBytesError'
}
