// Errors that stop the node. Neither is an answer to a client: those are outcomes (`types.ts`).

export { UnknownKindError } from '../bytes/index.ts'

/** Bytes that no version of this program writes: a bug, or damage that every checksum missed. */
export class MalformedBytesError extends Error {
  override readonly name = 'MalformedBytesError'
}
