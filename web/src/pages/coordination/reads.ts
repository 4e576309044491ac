// Reads of many places at once: a page of names costs a few requests, whatever the names hold.

import { prefixRange, type Where } from '../../../../src/operations/forms/places.ts'
import type { KeyRow } from '../../../../src/operations/forms/store.ts'
import type { KvTxnOperation } from '../../../../src/operations/forms/transactions.ts'
import { range } from '../../../../src/operations/range.ts'
import { txn } from '../../../../src/operations/txn.ts'
import { RefusedError, run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import { formatCount } from '../../design/numbers.ts'

type Get = Extract<KvTxnOperation, { kind: 'get' }>

export interface Found {
  readonly records: readonly KeyRow[]
  /** The place holds more keys than these. */
  readonly more: boolean
  readonly count: number | undefined
}

/** Limit of a node on the operations of one transaction. */
const OPERATIONS_MAX = 128
/** Keys that one page of a range may have. */
const KEYS_MAX = 10_000

const GET = { kind: 'get', limit: undefined, keysOnly: false, count: false, countOnly: false } as const

export const getKey = (key: Uint8Array): Get => ({ ...GET, where: { key } })
export const countKeys = (prefix: Uint8Array): Get => ({
  ...GET,
  where: prefixRange(prefix),
  countOnly: true,
})
export const getFirst = (where: Where, limit: number, keysOnly = false): Get => ({
  ...GET,
  where,
  limit,
  keysOnly,
})

/** The results in the order of `gets`. undefined: the place holds more than a transaction may read. */
export async function readEach(
  gets: readonly Get[],
  signal: AbortSignal,
): Promise<readonly (Found | undefined)[]> {
  if (gets.length === 0) return []
  if (gets.length > OPERATIONS_MAX) {
    const rest = gets.slice(OPERATIONS_MAX)
    return [...(await readEach(gets.slice(0, OPERATIONS_MAX), signal)), ...(await readEach(rest, signal))]
  }
  try {
    const { result } = await run(
      txn,
      {
        kind: 'txn',
        txn: { compare: [], success: gets, failure: [] },
        idempotency: undefined,
        freshness: pageFreshness(),
      },
      { signal },
    )
    return result.results.map((each) => (each.kind === 'get' ? each.found : undefined))
  } catch (error) {
    if (!(error instanceof RefusedError) || error.problem.code !== 'range_too_large') throw error
    if (gets.length === 1) return [undefined]
    const half = Math.ceil(gets.length / 2)
    return [...(await readEach(gets.slice(0, half), signal)), ...(await readEach(gets.slice(half), signal))]
  }
}

/** The keys that begin with a prefix, without values, up to as many as one page of a range has. */
export async function readKeys(
  prefix: Uint8Array,
  signal: AbortSignal,
): Promise<{ readonly records: readonly KeyRow[]; readonly more: boolean }> {
  const { result } = await run(
    range,
    {
      kind: 'range',
      range: prefixRange(prefix),
      limit: KEYS_MAX,
      keysOnly: true,
      freshness: pageFreshness(),
    },
    { signal },
  )
  return result
}

/** The number of keys of a place. undefined: more than a transaction counts. */
export const formatKeyCount = (count: number | undefined): string =>
  count === undefined ? `over ${formatCount(KEYS_MAX)}` : formatCount(count)
