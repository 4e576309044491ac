// Reads of keys without their values, as far as the user may: a range may have parts that are not for this user.

import { type KeyRange, keyAfter } from '../../../../src/operations/forms/places.ts'
import type { KeyRow } from '../../../../src/operations/forms/store.ts'
import { range } from '../../../../src/operations/range.ts'
import { run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import { readableParts } from '../../cluster/self.ts'

export interface ReadKeys {
  readonly records: readonly KeyRow[]
  /** Where the next read begins; undefined: there is none. */
  readonly next: Uint8Array | undefined
}

/** Requests of one read. A user may have rights to thousands of single keys. */
const PARTS_MAX = 16

/** Reads up to so many keys of what the user may read of the range. */
export async function readKeys(keys: KeyRange, limit: number, signal: AbortSignal): Promise<ReadKeys> {
  const parts = readableParts(keys)
  const records: KeyRow[] = []
  for (const [at, part] of parts.slice(0, PARTS_MAX).entries()) {
    const result = await readPart(part, limit - records.length, signal)
    records.push(...result.records)
    const last = result.records.at(-1)?.key
    if (result.more && last !== undefined) return { records, next: keyAfter(last) }
    if (records.length >= limit) return { records, next: parts[at + 1]?.start }
  }
  return { records, next: parts[PARTS_MAX]?.start }
}

/** Throws the refusal of the node, which has the reason, if the user may read nothing of the range. */
export async function checkReadable(keys: KeyRange, signal: AbortSignal): Promise<void> {
  if (readableParts(keys).length === 0) await readPart(keys, 1, signal)
}

async function readPart(keys: KeyRange, limit: number, signal: AbortSignal) {
  const request = { kind: 'range', range: keys, limit, keysOnly: true } as const
  return (await run(range, { ...request, freshness: pageFreshness() }, { signal })).result
}
