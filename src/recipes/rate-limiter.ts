// A rate limiter: at most `limit` in a window of time, for all processes together.
//
// Promise: from the first `take` of a window on, at most `limit` are allowed until the window ends. It ends `windowMs`
// later by the clock of the cluster, which no client's clock changes: the window is a key with a lease, and the end of
// the lease is the end of the window. A window never ends early. It may end later, by some tens of milliseconds, or by
// up to five seconds after a change of leader. A `take` whose answer was lost may count although nobody got it: the
// limiter then allows fewer, never more.
//
// Limits: windows do not slide. At the end of one and the beginning of the next, up to twice `limit` may be allowed
// within a short time. The shortest window is a second; the cluster raises it to twice its election time-out. What is
// refused writes nothing; what is allowed is one write, and all compete for one key: this is for some hundred a second,
// not for each packet. All callers must give the same `limit` and `windowMs`; each judges by its own.
//
// Key: limit/NAME/used     how many were taken in this window, as decimal text, with the window's lease

import { type CallOptions, type Client, QuorateError } from '../client/index.ts'
import { checkOptions, checkValue, isBound } from '../client/validators.ts'
import { CALL, isLeaseTime } from './checks.ts'
import { placeOf } from './place.ts'

export interface RateLimit {
  readonly limit: number
  /** From 1,000 on. */
  readonly windowMs: number
}

export interface Taken {
  readonly allowed: boolean
  /** How many more this window allows. */
  readonly remaining: number
  /** 0 if allowed. Otherwise the window ends after about this time. */
  readonly retryAfterMs: number
}

export interface RateLimiter {
  /** Takes `n`, all or none. */
  take(n?: number, options?: CallOptions): Promise<Taken>
}

export function rateLimiter(
  kv: Pick<Client, 'transact' | 'lease'>,
  name: string | Uint8Array,
  options: RateLimit,
): RateLimiter {
  const key = placeOf('rateLimiter', 'limit', name).key('used')
  checkOptions('rateLimiter', options, LIMIT)
  checkValue('rateLimiter', 'limit', options.limit, isBound)
  checkValue('rateLimiter', 'windowMs', options.windowMs, isLeaseTime)
  const { limit, windowMs } = options

  const tryTake = (n: number, call: CallOptions) =>
    kv.transact(async (tx) => {
      const record = await tx.get(key)
      const used = Number(record?.text() ?? 0)
      if (!Number.isSafeInteger(used))
        throw new TypeError(`the key ${record?.key} was not written by a rate limiter`)
      const remaining = Math.max(0, limit - used)
      if (n > remaining) return { allowed: false, remaining, lease: record?.lease }
      tx.put(
        key,
        String(Math.min(used + n, Number.MAX_SAFE_INTEGER)),
        record?.lease === undefined ? { ttlMs: windowMs } : { lease: record.lease },
      )
      return { allowed: true, remaining: remaining - n, lease: undefined }
    }, call)

  return {
    take: async (n = 1, call = {}) => {
      checkOptions('rateLimiter.take', call, CALL)
      checkValue('rateLimiter.take', 'n', n, isBound)
      if (n > limit) throw new RangeError(`rateLimiter.take: ${n} is more than the limit of ${limit}`)
      for (;;) {
        try {
          const { allowed, remaining, lease } = await tryTake(n, call)
          if (allowed || lease === undefined) return { allowed, remaining, retryAfterMs: 0 }
          const retryAfterMs = (await kv.lease(lease, call))?.remainingTtlMs ?? 0
          return { allowed, remaining, retryAfterMs }
        } catch (error) {
          // The window has ended between the read and the commit: the next one begins.
          if (!(error instanceof QuorateError && error.code === 'lease_not_found')) throw error
        }
      }
    },
  }
}

const LIMIT = { limit: isBound, windowMs: isLeaseTime }
