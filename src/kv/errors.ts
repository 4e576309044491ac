// Errors that stop the node. Neither is an answer to a client: those are outcomes (`types.ts`).

/** An entry or a row that a newer program made: this program does not know its kind, version or flag (KV-10). */
export class UnknownKindError extends Error {
  override readonly name = 'UnknownKindError'
}

/** The remedy for the operator of a node that has met such an entry or row. */
export const REMEDY_FOR_NEWER = 'a newer version wrote it; start this node with that version'

/** Bytes that no version of this program writes: a bug, or damage that every checksum missed. */
export class MalformedBytesError extends Error {
  override readonly name = 'MalformedBytesError'
}
