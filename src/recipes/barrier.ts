// A barrier: clients wait while it is raised.
//
// Promise: `wait` returns only if the barrier was not raised at some moment after the call. A raised barrier stays
// until a client lowers it, even if the client that raised it has died. With a lease it is lowered when the lease ends.
//
// Limits: `wait` says nothing about the moment after: another client may raise the barrier again at once.
//
// Key: barrier/NAME/     exists while the barrier is raised
//
// Invariant: the key is the state, and every call is one transaction on it.

import { type CallOptions, type Client, QuorateError } from '../client/index.ts'
import { checkOptions, isLease } from '../client/validators.ts'
import { keySpace } from './key-space.ts'
import { CALL_OPTIONS, isWait } from './option-checks.ts'
import { type PendingWait, timeLimitOf, waitUntil } from './wait-until.ts'

export interface RaiseOptions extends CallOptions {
  /** A lease, such as that of a session: the barrier is lowered when it ends. */
  readonly lease?: string | undefined
}

export interface WaitOptions extends CallOptions {
  /** How long to wait, which may be Infinity; then a `BarrierNotPassedError` is thrown. Default: Infinity. */
  readonly waitMs?: number | undefined
}

export interface Barrier {
  /** Returns whether it was not raised before. A raised barrier keeps its lease. */
  raise(options?: RaiseOptions): Promise<boolean>
  /** Returns whether it was raised before. */
  lower(options?: CallOptions): Promise<boolean>
  isRaised(options?: CallOptions): Promise<boolean>
  wait(options?: WaitOptions): Promise<void>
}

/** The barrier was raised, or the other processes were missing, for as long as the caller wanted to wait. */
export class BarrierNotPassedError extends QuorateError {}

export function barrier(kv: Pick<Client, 'txn' | 'watch'>, name: string | Uint8Array): Barrier {
  const key = keySpace('barrier', 'barrier', name).key()
  const isLowered = { compare: [{ key, exists: false }] } as const
  return {
    raise: async (options = {}) => {
      checkOptions('barrier.raise', options, { ...CALL_OPTIONS, lease: isLease })
      const { lease, ...call } = options
      return (await kv.txn({ ...isLowered, success: [{ put: { key, value: '', lease } }] }, call)).succeeded
    },
    lower: async (options = {}) => {
      checkOptions('barrier.lower', options, CALL_OPTIONS)
      return !(await kv.txn({ ...isLowered, failure: [{ delete: { key } }] }, options)).succeeded
    },
    isRaised: async (options = {}) => {
      checkOptions('barrier.isRaised', options, CALL_OPTIONS)
      return !(await kv.txn(isLowered, options)).succeeded
    },
    wait: async (options = {}) => {
      checkOptions('barrier.wait', options, { ...CALL_OPTIONS, waitMs: isWait })
      const { waitMs, signal = new AbortController().signal, timeoutMs } = options
      const check = async (): Promise<object | PendingWait> => {
        const { succeeded, revision } = await kv.txn(isLowered, { signal, timeoutMs })
        return succeeded ? {} : { revision, watch: { key, only: 'delete' } }
      }
      const timeoutError = () =>
        new BarrierNotPassedError(`barrier.wait: it is raised after ${waitMs} ms`, {
          code: 'barrier_not_passed',
          written: 'no',
        })
      const timeLimit = timeLimitOf(waitMs)
      try {
        await waitUntil(kv, check, { signal, timeLimit: timeLimit.signal, timeoutError })
      } finally {
        timeLimit.stop()
      }
    },
  }
}
