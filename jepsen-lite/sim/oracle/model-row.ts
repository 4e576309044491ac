// A record of a key, in plain text, and the bytes that the store has for it.

export interface ModelRow {
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  /** The id of the lease that deletes it; undefined: none. */
  readonly lease?: string | undefined
}

/** Keys and values of the simulator are plain ASCII. */
export const text = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')

export function bytes(string: string): Uint8Array {
  const array = new Uint8Array(string.length)
  for (let at = 0; at < string.length; at++) array[at] = string.charCodeAt(at)
  return array
}
