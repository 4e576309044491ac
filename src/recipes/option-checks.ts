// Checks of options that several recipes share, and the error of an aborted wait.

import { AbortedError, type Written } from '../client/index.ts'
import { type Check, signalCheck, timeoutCheck } from '../client/validators.ts'

const LEASE_MIN_MS = 1_000

export const leaseTimeCheck: Check = (value) =>
  typeof value === 'number' && value >= LEASE_MIN_MS && value < Number.POSITIVE_INFINITY
    ? undefined
    : 'a number of milliseconds from 1,000 on'

export const delayCheck: Check = (value) =>
  value === 0 || leaseTimeCheck(value) === undefined
    ? undefined
    : '0, or a number of milliseconds from 1,000 on'

/** A timeout, `Infinity`, or 0. */
export const waitCheck: Check = (value) => (value === 0 ? undefined : timeoutCheck(value))

export const CALL_OPTIONS = { signal: signalCheck, timeoutMs: timeoutCheck }

export const LOCK_OPTIONS = { ...CALL_OPTIONS, waitMs: waitCheck, ttlMs: leaseTimeCheck }

/** `what`: the operation that was aborted, for the message. */
export const abortedError = (
  signal: AbortSignal | undefined,
  what: string,
  written: Written = 'no',
): AbortedError =>
  new AbortedError(`${what} was aborted`, { code: 'aborted', written, cause: signal?.reason })
