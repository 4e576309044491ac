// Deletes a range of any size. One request deletes at most `range_keys_max` keys, and all writes of the cluster wait
// while it is applied. So a range is deleted part by part: each part has a revision of its own, and other clients see
// the parts that are done.

import { type Client, type DeleteRangeResult, QuorateError } from '../client/index.ts'
import type { KeyBounds } from './flags/key-range.ts'

/** Limit on the keys of one part. */
const PART_KEYS_MAX = 1_000

/**
 * Yields the result of each part. It goes through the keys once, so it ends beside a client that puts more of them.
 */
export async function* deleteInParts(
  client: Client,
  bounds: KeyBounds,
  signal: AbortSignal,
): AsyncGenerator<DeleteRangeResult, void, undefined> {
  let part: Uint8Array[] = []
  for await (const { keyBytes } of client.list({ ...bounds, keysOnly: true, signal })) {
    part.push(keyBytes)
    if (part.length < PART_KEYS_MAX) continue
    yield* deletePart(client, part, signal)
    part = []
  }
  yield* deletePart(client, part, signal)
}

/** `keys`: those of the part, in order. */
async function* deletePart(
  client: Client,
  keys: readonly Uint8Array[],
  signal: AbortSignal,
): AsyncGenerator<DeleteRangeResult, void, undefined> {
  const [start, last] = [keys[0], keys.at(-1)]
  if (start === undefined || last === undefined) return
  try {
    yield await client.deleteRange({ start, end: Buffer.concat([last, NUL]) }, { signal })
  } catch (error) {
    // The limit of the cluster is lower, or other clients have put keys between these.
    if (!(error instanceof QuorateError) || error.code !== 'range_too_large' || keys.length === 1) throw error
    const half = keys.length >> 1
    yield* deletePart(client, keys.slice(0, half), signal)
    yield* deletePart(client, keys.slice(half), signal)
  }
}

/** A key with one more byte, 0, is the next key. */
const NUL = Uint8Array.of(0)
