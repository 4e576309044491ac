// A fair wait queue: the basis of locks, semaphores and elections, of the owner of a saga, and of the active member of
// a group. Each client creates a key with the lease of a session of its own. The create revision of that key is the
// client's position and its token. A client acquires when fewer than `permits` conflicting keys have a lower revision.
//
// Invariant: keys before a client only disappear, because every new key has a higher revision. So a client that has
// acquired stays first until its own key goes, and its key goes with its lease.
//
// A key counts only together with a lease. A key without one belongs to no client (an import wrote it, for example): it
// is left out and reported, because nothing would ever delete it. The lease id is part of the key, so each attempt has
// a key of its own: a retry finds the key of the attempt before, and a late attempt fails once its lease is gone.
//
// `guard` compares the lease of the key. This, and no clock, rejects the writes of a client that was paused while its
// lease expired.
//
// Limits: a queue holds as many clients as a transaction may read keys (`range_keys_max`, 10,000). The next one is
// rejected with `range_too_large`. Each client reads all keys before it when it joins and when its predecessor goes.

import {
  type CallOptions,
  type Client,
  type KvRecord,
  QuorateError,
  type Session,
  type Txn,
  type TxnComparison,
  type TxnResult,
  type WatchBatch,
} from '../client/index.ts'
import { pause } from '../client/timer.ts'
import { checkOptions } from '../client/validators.ts'
import { isOwned } from './foreign-keys.ts'
import { abortedError, CALL_OPTIONS } from './option-checks.ts'
import { isClosed, isLeaseGone, isTransient } from './transient-errors.ts'
import { type PendingWait, REVOKE_WAIT_MS, waitUntil } from './wait-until.ts'
import { anySignal, changeAfter, isGone } from './watch-helpers.ts'

const TTL_MS = 10_000
const REWATCH_PAUSE_MS = 1_000
/** The pause after a failed attempt of a waiting client to get another lease. */
const SESSION_RETRY_MS = 1_000

export interface LockOptions {
  /**
   * How long to wait for others, which may be Infinity; then a `LockNotTakenError` is thrown. 0: acquires only if free.
   * Default: Infinity.
   */
  readonly waitMs?: number | undefined
  /** Life of the lease: how long the others wait after the holder has died. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  /** Ends the wait. It does not release what is held. */
  readonly signal?: AbortSignal | undefined
  /** Time limit of each call to the cluster. Default: that of the client. */
  readonly timeoutMs?: number | undefined
}

export interface HeldLock {
  /** Fencing token, greater than that of every holder before. With a semaphore: than that of every earlier client. */
  readonly token: number
  /** Fires with a `LockLostError` before the lock can have been lost, by the clock of this machine; also on release. */
  readonly signal: AbortSignal
  /** Time for which the lock is certainly held without another keep-alive; 0: it may have been lost. */
  readonly leftMs: number
  /** Change its value with `put` only: that keeps its lease, without which no client holds the key. */
  readonly key: Uint8Array
  /** Throws a `LockLostError` if the lock may have been lost. It reads the clock, so it is right after a pause too. */
  throwIfLost(): void
  /** A comparison for the caller's own transactions. It succeeds while the lock is held. */
  guard(): TxnComparison
  /** Throws a `LockLostError`, and writes nothing, if the lock is not held. */
  put(key: string | Uint8Array, value: string | Uint8Array, options?: CallOptions): Promise<void>
  /** Runs the transaction only while the lock is held; otherwise throws a `LockLostError`. */
  txn(txn: Txn, options?: CallOptions): Promise<TxnResult>
  /**
   * false: no node has confirmed it in time. That is no error: the client tries again in the background until the lock
   * is free, or until the client is closed. Another call waits for that.
   */
  release(options?: CallOptions): Promise<boolean>
  [Symbol.asyncDispose](): Promise<void>
}

/** Others held the lock for as long as the caller wanted to wait. Nothing was written. */
export class LockNotTakenError extends QuorateError {}

/** The lock is not held any more, or may not be. Nothing was written. */
export class LockLostError extends QuorateError {}

export type LockClient = Pick<Client, 'session' | 'txn' | 'watch'>

export interface LockQueue {
  /** Name of the recipe in messages. */
  readonly what: string
  /** The key of a client, which ends with its lease as `leaseName` writes it. */
  key(lease: string): Uint8Array
  /** Prefix of the keys that conflict with those of this client. */
  readonly conflicts: Uint8Array
  /** How many conflicting clients hold the lock together. */
  readonly permits: number
  /** Value of the client's key. Default: empty. */
  readonly value?: string | Uint8Array | undefined
}

/**
 * Waits until this client holds the lock. A client that loses its key while it waits joins again at the end, when the
 * cluster is reachable. `onUnreachable`: called while it is not.
 */
export async function acquire(
  kv: LockClient,
  queue: LockQueue,
  options: LockOptions,
  onUnreachable: (error: unknown) => void = () => {},
): Promise<HeldLock> {
  const { ttlMs = TTL_MS, waitMs = Number.POSITIVE_INFINITY, signal, timeoutMs } = options
  const call = { signal, timeoutMs }
  // A try in vain writes nothing, and wakes nobody.
  if (waitMs === 0) {
    const { results } = await kv.txn({ success: [readConflicts(queue)] }, call)
    const holders = keysBefore(queue.what, results[0]?.get?.kvs)
    if (holders.length >= queue.permits) throw notTaken(queue, holders.length)
  }
  const untilMs = performance.now() + waitMs
  for (let session = await kv.session({ ttlMs, ...call }); ; session = await newSession()) {
    try {
      return await acquireWith(kv, queue, session, call, untilMs)
    } catch (error) {
      const isLost = session.signal.aborted || error instanceof LockLostError || isLeaseGone(error)
      await session.close({ timeoutMs: REVOKE_WAIT_MS })
      if (!isLost || signal?.aborted === true) throw error
    }
  }

  async function newSession(): Promise<Session> {
    for (;;) {
      try {
        return await kv.session({ ttlMs, ...call })
      } catch (error) {
        const leftMs = untilMs - performance.now()
        if (!isTransient(error) || leftMs <= 0) throw error
        onUnreachable(error)
        await pause(Math.min(SESSION_RETRY_MS, leftMs), signal)
      }
    }
  }
}

async function acquireWith(
  kv: LockClient,
  queue: LockQueue,
  session: Session,
  options: CallOptions,
  untilMs: number,
): Promise<HeldLock> {
  const { lease } = session
  const key = queue.key(leaseName(lease))
  const signal = anySignal(session.signal, options.signal)
  const call = { ...options, signal }
  const conflicts = readConflicts(queue)
  const join: Txn = {
    compare: [{ key, exists: false }],
    success: [{ put: { key, value: queue.value ?? '', lease } }],
    failure: [{ get: { key, keysOnly: true } }],
  }
  let token: number | undefined
  let waitsFor = 0

  /** Creates the key, or finds the key that an earlier attempt has created. */
  async function position(): Promise<number> {
    for (;;) {
      const [result] = (await kv.txn(join, call)).results
      if (result?.put !== undefined) return result.put.createRevision
      const [found] = result?.get?.kvs ?? []
      // Without a record: the client has sent the transaction twice, and the cluster remembers only what was written.
      if (found === undefined) continue
      if (found.lease === lease) return found.createRevision
      throw lost(queue, 'its key exists with another lease')
    }
  }

  async function check(): Promise<{ readonly token: number; readonly revision: number } | PendingWait> {
    token ??= await position()
    const own = token
    const { succeeded, results, revision } = await kv.txn(
      { compare: ownership(key, own, lease), success: [conflicts] },
      call,
    )
    if (!succeeded) throw lost(queue, 'its key was deleted, or has another lease')
    const before = keysBefore(queue.what, results[0]?.get?.kvs, own)
    waitsFor = before.length
    return before.length < queue.permits ? { token: own, revision } : findConflict(queue, before, revision)
  }

  const timeoutError = () => notTaken(queue, waitsFor)
  const held = await waitUntil(kv, check, { signal, untilMs, timeoutError })
  // After a pause of the process the answer is seen before the timers run.
  if (session.leftMs === 0) throw lost(queue, 'its lease has expired')
  // A signal that has fired already does not fire again: the caller would not notice.
  if (options.signal?.aborted === true) throw abortedError(options.signal, queue.what)
  return heldLock(kv, queue, session, key, held)
}

/** The lease as etcd's package `concurrency` names it in a key: its clients wait in the same queue. */
const leaseName = (lease: string): string => BigInt(lease).toString(16)

const readConflicts = ({ conflicts }: LockQueue) => ({ get: { prefix: conflicts, keysOnly: true } }) as const

/** The keys of clients with a lower position, the first one first. Reports foreign keys. `what`: the recipe. */
export function keysBefore(
  what: string,
  records: readonly KvRecord[] = [],
  position = Number.POSITIVE_INFINITY,
): readonly KvRecord[] {
  return records
    .filter((record) => isOwned(what, record) && record.createRevision < position)
    .toSorted((a, b) => a.createRevision - b.createRevision)
}

/**
 * With one permit only the predecessor is watched; otherwise any of the clients before may go. A client is gone when
 * its key is deleted, and when the key is overwritten without a lease.
 */
function findConflict(
  { conflicts, permits }: LockQueue,
  before: readonly KvRecord[],
  revision: number,
): PendingWait {
  const last = before.at(-1)
  if (permits === 1 && last !== undefined)
    return {
      revision,
      watch: { key: last.keyBytes, keysOnly: true },
      wakesOn: ({ events }) => events.some(isGone),
    }
  const keys = new Set(before.map(({ key }) => key))
  const wakesOn = ({ events }: WatchBatch) => {
    for (const event of events) if (isGone(event)) keys.delete(event.key)
    return keys.size < permits
  }
  return { revision, watch: { prefix: conflicts, keysOnly: true }, wakesOn }
}

/** The key still goes with the lease that is in its name. */
const hasLease = (key: Uint8Array, lease: string): TxnComparison => ({
  key,
  target: 'lease',
  op: '=',
  to: lease,
})

/** The key is also the one of this position: a late copy of the transaction that creates it may create it again. */
const ownership = (key: Uint8Array, token: number, lease: string): readonly TxnComparison[] => [
  { key, target: 'createRevision', op: '=', to: token },
  hasLease(key, lease),
]

function notTaken({ what }: LockQueue, ahead: number): LockNotTakenError {
  const others = ahead === 1 ? 'another one holds it' : `${ahead} others hold it or wait before`
  const message = `${what}: not taken within the time to wait: ${others}`
  return new LockNotTakenError(message, { code: 'lock_not_taken', written: 'no' })
}

const lost = ({ what }: LockQueue, why: string, cause?: unknown): LockLostError =>
  new LockLostError(`${what}: it is no longer held: ${why}`, { code: 'lock_lost', written: 'no', cause })

function heldLock(
  kv: LockClient,
  queue: LockQueue,
  session: Session,
  key: Uint8Array,
  { token, revision }: { readonly token: number; readonly revision: number },
): HeldLock {
  const owned = ownership(key, token, session.lease)
  const guard = hasLease(key, session.lease)
  const over = new AbortController()
  const { signal } = over
  const end = (why: string, cause?: unknown) => over.abort(lost(queue, why, cause))
  const endWithSession = () => end('its lease has expired', session.signal.reason)
  session.signal.addEventListener('abort', endWithSession, { once: true })
  if (session.signal.aborted) endWithSession()

  const throwIfLost = () => {
    if (session.leftMs === 0) endWithSession()
    signal.throwIfAborted()
  }

  /** Another client may delete the key, or overwrite it without its lease. */
  async function watchKey(): Promise<void> {
    for (let at = revision; !signal.aborted; ) {
      try {
        await changeAfter(kv, { key, background: true }, at, signal)
        const current = await kv.txn({ compare: owned }, { signal })
        if (!current.succeeded) end('its key was deleted, or has another lease')
        at = current.revision
      } catch (error) {
        if (isClosed(error)) return
        await pause(REWATCH_PAUSE_MS, signal, { unref: true })
      }
    }
  }
  void watchKey()

  async function txn(inner: Txn, options: CallOptions): Promise<TxnResult> {
    throwIfLost()
    const outer = await kv.txn({ compare: owned, success: [{ txn: inner }] }, options)
    const result = outer.results[0]?.txn
    if (outer.succeeded && result !== undefined) return { ...result, revision: outer.revision }
    end('its key was deleted, or has another lease')
    throw lost(queue, 'its key was deleted, or has another lease')
  }

  async function release(options: CallOptions = {}): Promise<boolean> {
    checkOptions('release', options, CALL_OPTIONS)
    session.signal.removeEventListener('abort', endWithSession)
    end('it was released')
    return await session.close(options)
  }

  return {
    token,
    signal,
    get leftMs() {
      return signal.aborted ? 0 : session.leftMs
    },
    // A copy, as the caller may reuse the bytes.
    key: new Uint8Array(key),
    throwIfLost,
    guard: () => guard,
    put: async (target, value, options = {}) => {
      checkOptions('held.put', options, CALL_OPTIONS)
      const lease = Buffer.from(target).equals(key) ? session.lease : undefined
      await txn({ success: [{ put: { key: target, value, lease } }] }, options)
    },
    txn: async (inner, options = {}) => {
      checkOptions('held.txn', options, CALL_OPTIONS)
      return txn(inner, options)
    },
    release,
    [Symbol.asyncDispose]: async () => {
      await release()
    },
  }
}
