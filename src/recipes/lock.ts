// A fair lock.
//
// Promise: clients get the lock in the order in which their keys were created. The token of each holder, the revision
// that created its key, is greater than that of every holder before. `put` and `txn` of a held lock are done only while
// its key exists, in one transaction: a holder that was stopped and comes back writes nothing.
//
// Limits: no lock can keep a stopped process from going on, for a moment, after it has lost the lock. Give `token` to
// other systems that the lock protects, and let them refuse a lower token than the highest they have seen. `signal`
// fires before the lock can have been lost, by the clock of this machine, if the process runs. A holder that dies keeps
// the others waiting until its lease has ended (`ttlMs`).
//
// A waiting client watches only the key before its own: a release wakes one client. Each call has a session of its own,
// and the key goes with its lease. So a client that gives up, dies, or never learns whether its key was created leaves
// no key behind: the key is named after the lease, so that a second try finds what the first one wrote, and a try that
// arrives after the lease has ended is refused.
//
// Key: lock/NAME/LEASE     empty, with that lease; NAME as place.ts writes it

import { checkOptions, isSignal, isTimeout, isTtl } from '../client/check.ts'
import {
  AbortedError,
  type Client,
  type KvRecord,
  OutcomeUnknownError,
  type Session,
  type Txn,
  type TxnComparison,
  type TxnResult,
} from '../client/index.ts'
import { placeOf } from './place.ts'
import { changeAfter } from './watching.ts'

const TTL_MS = 10_000

export interface LockOptions {
  /** Unless the lock is taken within this time, a `LockNotTakenError` is thrown. Default: no limit. */
  readonly waitMs?: number | undefined
  /** Of the lease: how long the lock stays taken after its holder has died. Default 10,000. */
  readonly ttlMs?: number | undefined
  /** Gives up waiting. It does not release a lock that is held. */
  readonly signal?: AbortSignal | undefined
}

export interface HeldLock {
  readonly token: number
  /** Fires before the lock can have been lost. */
  readonly signal: AbortSignal
  readonly key: Uint8Array
  throwIfLost(): void
  /** Holds while the lock is held: for transactions of your own. */
  guard(): TxnComparison
  /** Throws a `LockLostError`, and has written nothing, if the lock is no longer held. */
  put(key: string | Uint8Array, value: string | Uint8Array): Promise<void>
  /** Its comparisons and operations are done only while the lock is held; otherwise throws a `LockLostError`. */
  txn(txn: Txn): Promise<TxnResult>
  release(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export class LockNotTakenError extends Error {
  override readonly name = 'LockNotTakenError'
}

export class LockLostError extends Error {
  override readonly name = 'LockLostError'
}

type LockClient = Pick<Client, 'session' | 'txn' | 'watch'>

export async function lock(
  kv: LockClient,
  name: string | Uint8Array,
  options: LockOptions = {},
): Promise<HeldLock> {
  checkOptions('lock', options, { waitMs: isTimeout, ttlMs: isTtl, signal: isSignal })
  const place = placeOf('lock', 'lock', name)
  const { waitMs, ttlMs = TTL_MS, signal } = options
  const timeout = waitMs === undefined ? undefined : AbortSignal.timeout(waitMs)
  const givesUp = [signal, timeout].filter((each) => each !== undefined)
  let session: Session | undefined
  try {
    session = await kv.session({ ttlMs, signal: givesUp.length > 0 ? AbortSignal.any(givesUp) : undefined })
    const key = place.key(session.lease)
    const isOver = AbortSignal.any([...givesUp, session.signal])
    const token = await createKey(kv, key, session, isOver)
    for (;;) {
      const { before, revision } = await lastBefore(kv, place.prefix, token, isOver)
      if (before === undefined) break
      await changeAfter(kv, { key: before.keyBytes, only: 'delete' }, revision, isOver)
    }
    session.throwIfLost()
    return held(kv, key, token, session)
  } catch (error) {
    await session?.close().catch(() => {}) // The lease ends by itself.
    if (timeout?.aborted === true && signal?.aborted !== true)
      throw new LockNotTakenError(`lock: not taken within ${waitMs} ms: others hold it or wait before`, {
        cause: error,
      })
    throw error
  }
}

/** Creates the key, or finds what an earlier try has created. Returns its create revision. */
async function createKey(
  kv: LockClient,
  key: Uint8Array,
  session: Session,
  signal: AbortSignal,
): Promise<number> {
  for (;;) {
    try {
      const { results } = await kv.txn(
        {
          compare: [{ key, exists: false }],
          success: [{ put: { key, value: '', lease: session.lease } }],
          failure: [{ get: { key } }],
        },
        { signal },
      )
      const revision = results[0]?.put?.createRevision ?? results[0]?.get?.kvs?.[0]?.createRevision
      if (revision !== undefined) return revision
    } catch (error) {
      if (!(error instanceof OutcomeUnknownError) || error instanceof AbortedError) throw error
    }
    session.throwIfLost()
  }
}

/** The key that was created last before `token`; none: the lock is held. */
async function lastBefore(
  kv: LockClient,
  prefix: Uint8Array,
  token: number,
  signal: AbortSignal,
): Promise<{ before: KvRecord | undefined; revision: number }> {
  const { results, revision } = await kv.txn({ success: [{ get: { prefix, keysOnly: true } }] }, { signal })
  const all = results[0]?.get?.kvs ?? []
  if (!all.some((record) => record.createRevision === token))
    throw new LockLostError('lock: its lease has ended')
  const before = all
    .filter((record) => record.createRevision < token)
    .reduce<KvRecord | undefined>(
      (last, each) => (last && last.createRevision > each.createRevision ? last : each),
      undefined,
    )
  return { before, revision }
}

function held(kv: LockClient, key: Uint8Array, token: number, session: Session): HeldLock {
  const guard: TxnComparison = { key, target: 'create_revision', op: '=', to: token }
  let released: Promise<void> | undefined
  const release = () => (released ??= session.close())
  const guarded = async (txn: Txn): Promise<TxnResult> => {
    session.throwIfLost()
    const { succeeded, revision, results } = await kv.txn({ compare: [guard], success: [{ txn }] })
    const inner = results[0]?.txn
    if (!succeeded || inner === undefined)
      throw new LockLostError('lock: it is no longer held; nothing was written')
    return { ...inner, revision }
  }
  return {
    token,
    signal: session.signal,
    key,
    throwIfLost: () => session.throwIfLost(),
    guard: () => guard,
    put: async (target, value) => {
      await guarded({ success: [{ put: { key: target, value } }] })
    },
    txn: guarded,
    release,
    [Symbol.asyncDispose]: release,
  }
}
