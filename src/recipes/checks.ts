// Checks of options that several recipes have, and the error of a signal that has fired.

import { AbortedError } from '../client/index.ts'
import { type Check, isSignal, isTimeout } from '../client/validators.ts'

/** The shortest life of a lease. */
const LEAST_MS = 1_000

export const isLeaseTime: Check = (value) =>
  typeof value === 'number' && value >= LEAST_MS && value < Number.POSITIVE_INFINITY
    ? undefined
    : 'a number of milliseconds from 1,000 on'

export const isDelay: Check = (value) =>
  value === 0 || isLeaseTime(value) === undefined ? undefined : '0, or a number of milliseconds from 1,000 on'

/** `Infinity` too. */
export const isWait: Check = (value) => (value === 0 ? undefined : isTimeout(value))

/** `LockOptions`. */
export const LOCK = { waitMs: isWait, ttlMs: isLeaseTime, signal: isSignal, timeoutMs: isTimeout }

export const CALL = { signal: isSignal, timeoutMs: isTimeout }

/** `what`: what was aborted, for the message. */
export const abortedBy = (signal: AbortSignal | undefined, what: string): AbortedError =>
  new AbortedError(`${what} was aborted`, { code: 'aborted', written: 'no', cause: signal?.reason })
