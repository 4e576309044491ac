// A barrier: whoever waits goes on when it is not raised.
//
// Promise: `wait` returns only if the barrier was not raised at some moment after it was called. A barrier that was
// raised stays until it is lowered, whoever has died; one that was raised with a lease goes with it.
//
// Limits: it says nothing about the moment after. Somebody may raise it again before the one that waited goes on.
//
// Key: barrier/NAME/     exists while it is raised

import { type CallOptions, type Client, QuorateError } from '../client/index.ts'
import { checkOptions, isLease, isSignal, isTimeout } from '../client/validators.ts'
import { CALL, isWait } from './checks.ts'
import { placeOf } from './place.ts'
import { type NotYet, patienceOf, until } from './waiting.ts'

export interface RaiseOptions extends CallOptions {
  /** Of a session, for example: the barrier is lowered when it ends. */
  readonly lease?: string | undefined
}

export interface WaitOptions extends CallOptions {
  /** How long to wait, which may be Infinity; then a `BarrierNotPassedError` is thrown. Default: Infinity. */
  readonly waitMs?: number | undefined
}

export interface Barrier {
  /** Returns whether it was not raised before. One that is raised stays as it is. */
  raise(options?: RaiseOptions): Promise<boolean>
  /** Returns whether it was raised before. */
  lower(options?: CallOptions): Promise<boolean>
  isRaised(options?: CallOptions): Promise<boolean>
  wait(options?: WaitOptions): Promise<void>
}

/** The others were not there, or the barrier was raised, for as long as the caller wanted to wait. */
export class BarrierNotPassedError extends QuorateError {}

export function barrier(kv: Pick<Client, 'txn' | 'watch'>, name: string | Uint8Array): Barrier {
  const key = placeOf('barrier', 'barrier', name).key()
  const isLowered = { compare: [{ key, exists: false }] } as const
  return {
    raise: async (options = {}) => {
      checkOptions('barrier.raise', options, { ...CALL, lease: isLease })
      const { lease, ...call } = options
      return (await kv.txn({ ...isLowered, success: [{ put: { key, value: '', lease } }] }, call)).succeeded
    },
    lower: async (options = {}) => {
      checkOptions('barrier.lower', options, CALL)
      return !(await kv.txn({ ...isLowered, failure: [{ delete: { key } }] }, options)).succeeded
    },
    isRaised: async (options = {}) => {
      checkOptions('barrier.isRaised', options, CALL)
      return !(await kv.txn(isLowered, options)).succeeded
    },
    wait: async (options = {}) => {
      checkOptions('barrier.wait', options, { waitMs: isWait, signal: isSignal, timeoutMs: isTimeout })
      const { waitMs, signal = new AbortController().signal, timeoutMs } = options
      const patience = patienceOf(waitMs)
      const look = async (): Promise<object | NotYet> => {
        const { succeeded, revision } = await kv.txn(isLowered, { signal, timeoutMs })
        return succeeded ? {} : { revision, range: { key, only: 'delete' } }
      }
      const notWithin = () =>
        new BarrierNotPassedError(`barrier.wait: it is raised after ${waitMs} ms`, {
          code: 'barrier_not_passed',
          written: 'no',
        })
      try {
        await until(kv, look, { signal, patience: patience.signal, notWithin })
      } finally {
        patience.end()
      }
    },
  }
}
