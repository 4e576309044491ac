// A barrier: clients wait while it is raised.
//
// Promise: `wait` returns only if the barrier was not raised at some moment after the call. A raised barrier stays
// until a client lowers it, even if the client that raised it has died. With a lease it is lowered when the lease ends.
//
// Limits: `wait` says nothing about the moment after: another client may raise the barrier again at once.
//
// Key: barrier/NAME/     exists while the barrier is raised; the value is the lease that lowers it, or empty
//
// Invariant: the key is the state, and every change compares the mod revision that was read. A key that names a lease
// and has none was restored by an import. It raises no barrier, because nobody would lower it.

import {
  type CallOptions,
  type Client,
  type KvRecord,
  QuorateError,
  type TxnOperation,
} from '../client/index.ts'
import { checkOptions, leaseCheck } from '../client/validators.ts'
import { isOwned } from './foreign-keys.ts'
import { keySpace } from './key-space.ts'
import { CALL_OPTIONS, waitCheck } from './option-checks.ts'
import { type PendingWait, waitUntil } from './wait-until.ts'

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

/** The barrier was raised for as long as the caller wanted to wait. */
export class BarrierNotPassedError extends QuorateError {}

export function barrier(kv: Pick<Client, 'txn' | 'watch'>, name: string | Uint8Array): Barrier {
  const key = keySpace('barrier', 'barrier', name).key()
  const read = async (call: CallOptions) => {
    const { results, revision } = await kv.txn({ success: [{ get: { key } }] }, call)
    const record = results[0]?.get?.kvs?.[0]
    const isRaised = record !== undefined && (record.value.length === 0 || isOwned('barrier', record))
    return { record, isRaised, revision }
  }
  /** Returns false if another client has changed it since it was read. */
  const change = async (record: KvRecord | undefined, operation: TxnOperation, call: CallOptions) => {
    const compare = [{ key, target: 'modRevision', op: '=', to: record?.modRevision ?? 0 } as const]
    return (await kv.txn({ compare, success: [operation] }, call)).succeeded
  }
  return {
    raise: async (options = {}) => {
      checkOptions('barrier.raise', options, { ...CALL_OPTIONS, lease: leaseCheck })
      const { lease, ...call } = options
      for (;;) {
        const { record, isRaised } = await read(call)
        if (isRaised) return false
        if (await change(record, { put: { key, value: lease ?? '', lease } }, call)) return true
      }
    },
    lower: async (options = {}) => {
      checkOptions('barrier.lower', options, CALL_OPTIONS)
      for (;;) {
        const { record, isRaised } = await read(options)
        if (record === undefined || (await change(record, { delete: { key } }, options))) return isRaised
      }
    },
    isRaised: async (options = {}) => {
      checkOptions('barrier.isRaised', options, CALL_OPTIONS)
      return (await read(options)).isRaised
    },
    wait: async (options = {}) => {
      checkOptions('barrier.wait', options, { ...CALL_OPTIONS, waitMs: waitCheck })
      const { waitMs = Number.POSITIVE_INFINITY, timeoutMs } = options
      const { signal = new AbortController().signal } = options
      const untilMs = performance.now() + waitMs
      const check = async (): Promise<object | PendingWait> => {
        const { isRaised, revision } = await read({ signal, timeoutMs })
        return isRaised ? { revision, watch: { key } } : {}
      }
      const timeoutError = () =>
        new BarrierNotPassedError(`barrier.wait: it is raised after ${waitMs} ms`, {
          code: 'barrier_not_passed',
          written: 'no',
        })
      await waitUntil(kv, check, { signal, untilMs, timeoutError, beginsWithCheck: true })
    },
  }
}
