// Durations in text, such as 500ms, 30s or 1.5h.

import { ApiError } from './problems.ts'
import { TTL_MS_MAX, TTL_MS_MIN } from './store.ts'

/** Timeout of a request unless it has one, and the longest. */
export const TIMEOUT_MS_DEFAULT = 5000
export const TIMEOUT_MS_MAX = 60_000

/** Limit on the age of the answer to a stale read. */
export const MAX_STALENESS_MS_MAX = 24 * 3_600_000

export const DURATION_PATTERN = '^([0-9]{1,12}(?:\\.[0-9]{1,6})?)(ms|s|m|h)$'
const DURATION = new RegExp(DURATION_PATTERN)

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds of a duration, which is above 0. Throws `ApiError`. */
export function durationMs(text: string, name: string, minMs: number, maxMs: number): number {
  const [, amount, unit] = DURATION.exec(text) ?? []
  const ms = Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN)
  if (ms > 0 && ms >= minMs && ms <= maxMs) return ms
  const from = minMs === 0 ? 'above 0 and up to' : `from ${minMs / 1000}s to`
  const most =
    maxMs % 3_600_000 === 0 && maxMs > MAX_STALENESS_MS_MAX ? `${maxMs / 3_600_000}h` : `${maxMs / 1000}s`
  throw new ApiError(
    'bad_request',
    `${name} must be a duration ${from} ${most}, such as ${minMs > 500 ? '30s' : '500ms or 3s'}`,
  )
}

/** A time to live in text. Throws `ApiError`. */
export const parseTtlMs = (text: string, name: string): number =>
  Math.ceil(durationMs(text, name, TTL_MS_MIN, TTL_MS_MAX))

/** With at most as many decimals as a node reads in text, and never 0. */
export const roundedMs = (ms: number): number => Math.max(1e-6, Number(ms.toFixed(6)))

export const durationText = (ms: number): string => `${roundedMs(ms)}ms`
