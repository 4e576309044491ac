// A rate limiter: at most `limit` in a window of time, for all processes together.
//
// Promise: from the first `take` of a window on, at most `limit` are allowed until the window ends `windowMs` later, by
// the clock of the cluster. A window never ends early. It may end later, by some tens of milliseconds, or by up to five
// seconds after a change of leader. A `take` whose response was lost may count: then the limiter allows fewer.
//
// Limits: windows do not slide. Around the end of a window, up to twice `limit` may be allowed in a short time. The
// shortest window is a second; the cluster raises it to twice its election timeout. An allowed `take` is one write,
// and all conflict on one key: this is for some hundred a second. All callers must give the same options.
//
// Key: limit/NAME/used     the number taken in this window, as decimal text, with the window's lease
//
// Invariant: the key has the lease of its window, so it disappears when the window ends. A key without a lease, or with
// another value, belongs to no window: the next `take` replaces it.

import { type CallOptions, type Client, QuorateError } from '../client/index.ts'
import { boundCheck, checkOptions, checkValue } from '../client/validators.ts'
import { reportForeignKey } from './foreign-keys.ts'
import { keySpace } from './key-space.ts'
import { CALL_OPTIONS, leaseTimeCheck } from './option-checks.ts'

export interface RateLimit {
  readonly limit: number
  /** From 1,000 on. */
  readonly windowMs: number
}

export interface RateLimitResult {
  readonly allowed: boolean
  /** How many more this window allows. */
  readonly remaining: number
  /** 0 if allowed. Otherwise the window ends after about this time, which is at least 1. */
  readonly retryAfterMs: number
}

export interface RateLimiter {
  /** Takes `n`, all or none. */
  take(n?: number, options?: CallOptions): Promise<RateLimitResult>
}

export function rateLimiter(
  kv: Pick<Client, 'transact' | 'lease'>,
  name: string | Uint8Array,
  options: RateLimit,
): RateLimiter {
  const key = keySpace('rateLimiter', 'limit', name).key('used')
  checkOptions('rateLimiter', options, { limit: boundCheck, windowMs: leaseTimeCheck })
  checkValue('rateLimiter', 'limit', options.limit, boundCheck)
  checkValue('rateLimiter', 'windowMs', options.windowMs, leaseTimeCheck)
  const { limit, windowMs } = options

  /** `lease`: that of the window that has refused. */
  const tryTake = (n: number, call: CallOptions) =>
    kv.transact(async (tx) => {
      const record = await tx.get(key)
      const text = record?.text() ?? ''
      const isWindow = record?.lease !== undefined && /^[0-9]{1,16}$/.test(text)
      if (record !== undefined && !isWindow) reportForeignKey('rate limiter', record.key)
      const used = isWindow ? Number(text) : 0
      const remaining = Math.max(0, limit - used)
      if (n > remaining) return { allowed: false, remaining, lease: record?.lease }
      const sum = String(Math.min(used + n, Number.MAX_SAFE_INTEGER))
      tx.put(key, sum, isWindow ? { lease: record.lease } : { ttlMs: windowMs })
      return { allowed: true, remaining: remaining - n, lease: undefined }
    }, call)

  return {
    take: async (n = 1, call = {}) => {
      checkOptions('rateLimiter.take', call, CALL_OPTIONS)
      checkValue('rateLimiter.take', 'n', n, boundCheck)
      if (n > limit) throw new RangeError(`rateLimiter.take: ${n} is more than the limit of ${limit}`)
      for (;;) {
        try {
          const { allowed, remaining, lease } = await tryTake(n, call)
          if (lease === undefined) return { allowed, remaining, retryAfterMs: 0 }
          const window = await kv.lease(lease, call)
          // Otherwise the window has ended since: the next one begins.
          if (window !== undefined)
            return { allowed, remaining, retryAfterMs: Math.max(1, window.remainingTtlMs) }
        } catch (error) {
          // The window has ended between the read and the commit.
          if (!(error instanceof QuorateError && error.code === 'lease_not_found')) throw error
        }
      }
    },
  }
}
