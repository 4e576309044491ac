// Leader election: one of several candidates leads.
//
// Promise: candidates lead in the order in which their keys were created. Each leader's token is greater than those of
// all leaders before. `put` and `txn` write only while the process leads. `runAsLeader` runs the body only while its
// process leads, fires `signal` before another process can lead, and runs the body again when the process leads again.
// A body that outlives its lease is reported to `onError`.
//
// Limits: those of lock.ts. A leader that was paused resumes as leader for a moment, so other systems must check
// `token`. The body must return when `signal` fires: until then this process is no candidate.
//
// Key: election/NAME/LEASE     the candidate's value, with that lease
//
// Invariant: the leader has the oldest key with a lease (fair-lock-queue.ts).

import { whenAborted } from '../client/abort-listeners.ts'
import type { CallOptions, Client, KvRecord } from '../client/index.ts'
import { keepProcessAlive, pause } from '../client/timer.ts'
import { bytesCheck, type Check, checkOptions, checkValue, functionCheck } from '../client/validators.ts'
import { acquire, type HeldLock, keysBefore, type LockClient, type LockOptions } from './fair-lock-queue.ts'
import { type KeySpace, keySpace } from './key-space.ts'
import { CALL_OPTIONS, LOCK_OPTIONS, leaseTimeCheck } from './option-checks.ts'
import { runUserCallback, warn } from './run-user-callback.ts'
import { isFull, isTransient } from './transient-errors.ts'
import { anySignal, readOnChange } from './watch-helpers.ts'

const RETRY_MS = 1_000

export interface Leadership extends Omit<HeldLock, 'release' | 'leftMs' | typeof Symbol.asyncDispose> {
  /** Fires before another process can lead, and when the `signal` of `runAsLeader` fires. */
  readonly signal: AbortSignal
}

export interface CampaignOptions extends LockOptions {
  /** The candidate's value for `leaderOf`, such as its address. Default: empty. */
  readonly value?: string | Uint8Array | undefined
}

export interface LeaderOptions {
  /** The candidate's value for `leaderOf`, such as its address. Default: empty. */
  readonly value?: string | Uint8Array | undefined
  /** Life of the lease: another process leads after this time without the leader. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  /** Ends the candidacy. It fires the signal of a running body, and waits for the body. */
  readonly signal?: AbortSignal | undefined
  /** Time limit of each call to the cluster. Default: that of the client. */
  readonly timeoutMs?: number | undefined
  /**
   * Called when the cluster is unreachable or full, with a `LockLostError` when the lead is lost while the body runs,
   * and for what the body throws after that. The candidacy continues when the body has returned. Default:
   * `process.emitWarning`.
   */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** Waits until this process leads. It leads until `release`, or until its lease expires. */
export async function campaign(
  kv: LockClient,
  name: string | Uint8Array,
  options: CampaignOptions = {},
): Promise<HeldLock> {
  return waitForLead(kv, name, options)
}

async function waitForLead(
  kv: LockClient,
  name: string | Uint8Array,
  options: CampaignOptions,
  onUnreachable?: (error: unknown) => void,
): Promise<HeldLock> {
  const { prefix, key } = keySpace('campaign', 'election', name)
  checkOptions('campaign', options, { ...LOCK_OPTIONS, value: bytesCheck })
  const value = copyBytes(options.value)
  const { value: _, ...lockOptions } = options
  return acquire(
    kv,
    { what: 'campaign', key, conflicts: prefix, permits: 1, value },
    lockOptions,
    onUnreachable,
  )
}

/**
 * Runs `body` while this process leads, and returns or throws its result. The result of a body that has lost the lead
 * does not count: this process is a candidate again. After `signal` has fired the body's result counts in any case;
 * without a running body an `AbortError` is thrown.
 */
export async function runAsLeader<T>(
  kv: LockClient,
  name: string | Uint8Array,
  body: (leadership: Leadership) => T | Promise<T>,
  options: LeaderOptions = {},
): Promise<T> {
  checkValue('runAsLeader', 'body', body, functionCheck)
  checkOptions('runAsLeader', options, RUN_OPTIONS)
  const { signal, onError = warn('runAsLeader'), ...rest } = options
  const report = (error: unknown) => runUserCallback(() => onError(error))
  const candidate = { ...rest, value: copyBytes(rest.value) }
  const election = copyBytes(name)
  for (;;) {
    let lead: HeldLock
    try {
      lead = await waitForLead(kv, election, { ...candidate, signal }, report)
    } catch (error) {
      if (!isTransient(error) && !isFull(error)) throw error
      report(error)
      await pause(RETRY_MS, signal)
      continue
    }
    const { token, key, guard, put, txn, throwIfLost } = lead
    // A body that blocks the event loop may return before the signal could fire: the clock decides.
    const counts = () => lead.leftMs > 0 || signal?.aborted === true
    let isLossReported = false
    const reportLoss = () => {
      if (!isLossReported) report(lead.signal.reason)
      isLossReported = true
    }
    const stopListening = whenAborted(lead.signal, reportLoss)
    try {
      const leadership = { token, key, guard, put, txn, throwIfLost, signal: anySignal(lead.signal, signal) }
      const result = await keepProcessAlive((async () => body(leadership))())
      if (counts()) return result
      throwIfLost()
    } catch (error) {
      if (counts()) throw error
      if (error === lead.signal.reason) reportLoss()
      else report(error)
    } finally {
      stopListening()
      await lead.release({ timeoutMs: candidate.timeoutMs })
    }
  }
}

/** The leader's record: its value, and `createRevision`, the token. undefined: no process leads. */
export async function leaderOf(
  kv: Pick<Client, 'txn'>,
  name: string | Uint8Array,
  options: CallOptions = {},
): Promise<KvRecord | undefined> {
  const space = keySpace('leaderOf', 'election', name)
  checkOptions('leaderOf', options, CALL_OPTIONS)
  return (await readLeader(kv, space, options)).leader
}

/**
 * Yields the current leader, then each new one, and each new value of the same leader; undefined: no process leads. Of
 * changes in quick succession it yields the last. It ends with `break`, or with its signal (`AbortError`). `timeoutMs`
 * limits its first call; later ones are repeated.
 */
export function followLeader(
  kv: Pick<Client, 'txn' | 'watch'>,
  name: string | Uint8Array,
  options: CallOptions = {},
): AsyncGenerator<KvRecord | undefined, void, undefined> {
  const space = keySpace('followLeader', 'election', name)
  checkOptions('followLeader', options, CALL_OPTIONS)
  const { signal, timeoutMs } = options
  return readOnChange(
    kv,
    async () => {
      const { leader, revision } = await readLeader(kv, space, { signal, timeoutMs })
      // While one leads, new candidates change nothing: only its own key matters.
      const watch = leader === undefined ? { prefix: space.prefix } : { key: leader.keyBytes }
      return { value: leader, version: String(leader?.modRevision), revision, watch }
    },
    signal,
  )
}

/** Reads the value on its own: the values of all candidates may be more than one response may hold. */
async function readLeader(
  kv: Pick<Client, 'txn'>,
  { prefix }: KeySpace,
  options: CallOptions,
): Promise<{ readonly leader: KvRecord | undefined; readonly revision: number }> {
  for (;;) {
    const { results, revision } = await kv.txn({ success: [{ get: { prefix, keysOnly: true } }] }, options)
    const [first] = keysBefore('campaign', results[0]?.get?.kvs)
    if (first === undefined) return { leader: undefined, revision }
    const { keyBytes: key, createRevision: to } = first
    const compare = [{ key, target: 'createRevision', op: '=', to }] as const
    const read = await kv.txn({ compare, success: [{ get: { key } }] }, options)
    const leader = read.results[0]?.get?.kvs?.[0]
    if (leader !== undefined) return { leader, revision: read.revision }
  }
}

const copyBytes = <T extends string | Uint8Array | undefined>(value: T): T | Uint8Array =>
  typeof value === 'object' ? new Uint8Array(value) : value

const RUN_OPTIONS: Readonly<Record<keyof LeaderOptions, Check>> = {
  ...CALL_OPTIONS,
  value: bytesCheck,
  ttlMs: leaseTimeCheck,
  onError: functionCheck,
}
