// A counter: a whole number that many clients change.
//
// Promise: each `add` that returns was counted exactly once, and returns the number after it. A number beyond 2^53 - 1,
// which JavaScript cannot hold exactly, is never stored: `add` throws a RangeError and changes nothing.
//
// Limits: an `add` that fails with `written: 'unknown'` may have been counted. Only with `once` it can be repeated
// safely: the same `once` counts one time within `onceMs`. All `add`s conflict on one key, so many concurrent ones are
// slow: sum up in the process, and add the sum.
//
// Keys: counter/NAME/value          the number, as decimal text
//       counter/NAME/once/TOKEN     the number after that `add`, with a lease of `onceMs`
//
// Invariant: the number and the token are written in one transaction that compares what was read of both.

import type { CallOptions, Client, KvRecord } from '../client/index.ts'
import { checkOptions, checkValue, textCheck } from '../client/validators.ts'
import { foreignKeyError, isOwned } from './foreign-keys.ts'
import { escapePart, keySpace } from './key-space.ts'
import { CALL_OPTIONS, leaseTimeCheck } from './option-checks.ts'

const ONCE_MS = 15 * 60_000

export interface AddOptions extends CallOptions {
  /** Any text. Of several `add`s with the same text one is counted, and all return the number after it. */
  readonly once?: string | undefined
  /** How long `once` is remembered, by the clock of the cluster. From 1,000 on. Default: 900,000 (15 minutes). */
  readonly onceMs?: number | undefined
}

export interface Counter {
  /** 0 before the first `add`. */
  get(options?: CallOptions): Promise<number>
  /** Adds `n`, which may be negative. Returns the number after it. */
  add(n?: number, options?: AddOptions): Promise<number>
}

export function counter(kv: Pick<Client, 'get' | 'transact'>, name: string | Uint8Array): Counter {
  const space = keySpace('counter', 'counter', name)
  const key = space.key('value')
  return {
    get: async (options = {}) => {
      checkOptions('counter.get', options, CALL_OPTIONS)
      return parseCount(await kv.get(key, options))
    },
    add: async (n = 1, options = {}) => {
      checkValue('counter.add', 'n', n, isInteger)
      checkOptions('counter.add', options, { ...CALL_OPTIONS, once: textCheck, onceMs: leaseTimeCheck })
      const { once, onceMs = ONCE_MS, ...call } = options
      return kv.transact(async (tx) => {
        const onceKey = once === undefined ? undefined : space.key('once', escapePart(once).toString())
        const counted = onceKey && (await tx.get(onceKey))
        // Without a lease the token would be remembered without end: it is one of an import.
        if (counted !== undefined && isOwned('counter', counted)) return parseCount(counted)
        const sum = parseCount(await tx.get(key)) + n
        if (!Number.isSafeInteger(sum))
          throw new RangeError(`counter.add: ${sum} is more than a counter can hold (2^53 - 1 either way)`)
        tx.put(key, String(sum))
        if (onceKey !== undefined) tx.put(onceKey, String(sum), { ttlMs: onceMs })
        return sum
      }, call)
    },
  }
}

/** A value of another program is an error: a counter that began at 0 again would be wrong. */
function parseCount(record: KvRecord | undefined): number {
  if (record === undefined) return 0
  const text = record.text()
  const number = /^-?[0-9]+$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(number)) return number
  throw foreignKeyError('counter', record.key)
}

const isInteger = (value: unknown): string | undefined =>
  Number.isSafeInteger(value) ? undefined : 'a whole number that is safe (up to 2^53 - 1 either way)'
