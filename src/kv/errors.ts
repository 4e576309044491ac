// What makes a node stop instead of guess. Neither is an answer to a client: answers are outcomes (`types.ts`).

/** An entry or a row made by a newer program: its kind, version or flag has no meaning here (KV-10). */
export class UnknownKindError extends Error {
  override readonly name = 'UnknownKindError'
}

/** Bytes that no version of this program writes: a defect, or damage that every checksum missed. */
export class MalformedBytesError extends Error {
  override readonly name = 'MalformedBytesError'
}

export function assertNever(value: never, what: string): never {
  throw new TypeError(`not a ${what}: ${JSON.stringify(value)}`)
}
