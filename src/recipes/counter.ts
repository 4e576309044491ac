// A counter: a whole number that many clients change.
//
// Promise: each `add` that returns has been counted exactly once, whatever was sent again on the way, and returns the
// number after it. A number that JavaScript cannot hold exactly (beyond 2^53 - 1) is never stored: `add` throws a
// RangeError, and nothing has changed.
//
// Limits: an `add` that fails with `written: 'unknown'` may have been counted. Only with `once` can it be repeated
// safely: the same `once` counts one time within `onceMs`. All `add`s compete for one key, and one that has lost begins
// again, so many at a time are slow: add up in the process, and add the sum.
//
// Keys: counter/NAME/value          the number, as decimal text
//       counter/NAME/once/TOKEN     the number after that `add`, with a lease of `onceMs`

import type { CallOptions, Client, KvRecord } from '../client/index.ts'
import { checkOptions, checkValue, isText } from '../client/validators.ts'
import { CALL, isLeaseTime } from './checks.ts'
import { escaped, type KeyPlace, placeOf } from './place.ts'

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
  /** `n` may be negative. Returns the number after it. */
  add(n?: number, options?: AddOptions): Promise<number>
}

export function counter(kv: Pick<Client, 'get' | 'transact'>, name: string | Uint8Array): Counter {
  const place = placeOf('counter', 'counter', name)
  const key = place.key('value')
  return {
    get: async (options = {}) => {
      checkOptions('counter.get', options, CALL)
      return numberIn(await kv.get(key, options), key)
    },
    add: async (n = 1, options = {}) => {
      checkValue('counter.add', 'n', n, isInteger)
      checkOptions('counter.add', options, ADD)
      const { once, onceMs = ONCE_MS, ...call } = options
      return kv.transact(async (tx) => {
        const onceKey = once === undefined ? undefined : keyOfOnce(place, once)
        const counted = onceKey && (await tx.get(onceKey))
        if (counted !== undefined) return numberIn(counted, counted.keyBytes)
        const sum = numberIn(await tx.get(key), key) + n
        if (!Number.isSafeInteger(sum))
          throw new RangeError(`counter.add: ${sum} is more than a counter can hold (2^53 - 1 either way)`)
        tx.put(key, String(sum))
        if (onceKey !== undefined) tx.put(onceKey, String(sum), { ttlMs: onceMs })
        return sum
      }, call)
    },
  }
}

const keyOfOnce = (place: KeyPlace, once: string): Uint8Array => place.key('once', escaped(once).toString())

function numberIn(record: KvRecord | undefined, key: Uint8Array): number {
  if (record === undefined) return 0
  const text = record.text()
  const number = /^-?[0-9]+$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(number)) return number
  const shown = JSON.stringify(text.slice(0, 40))
  throw new TypeError(`the key ${Buffer.from(key).toString()} holds ${shown}, which no counter has written`)
}

const isInteger = (value: unknown): string | undefined =>
  Number.isSafeInteger(value) ? undefined : 'a whole number that is safe (up to 2^53 - 1 either way)'

const ADD = { ...CALL, once: isText, onceMs: isLeaseTime }
