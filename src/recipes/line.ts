// A line of clients, served in order: what locks, semaphores and elections are made of, and what decides which process
// runs a saga or reads for a group of a topic. Each client creates a key with the lease of a session of its own. The
// revision that created the key is the client's number in the line, and its token. It is served once few enough of
// those that it must wait for are before it.
//
// Each call has its own lease, and its key is named after it. So a client that dies, gives up, or never learns whether
// its key was created leaves no key behind, a second try finds what the first one has created, and a try that arrives
// after the lease has ended is refused.
//
// Limits: a line has room for as many clients as a transaction may read keys (`range_keys_max`, 10,000). One that comes
// when it is full is refused with `range_too_large`, and so may be one that looks at the line in that moment. Each
// client that has to wait reads the keys of the line once: of N that come at a time, all together read about N² keys.
//
// The key stands until the lease ends or is revoked. `guard` compares the revision that created it: this, and no clock,
// keeps a client that was stopped, and whose key is gone, from writing.

import {
  AbortedError,
  type CallOptions,
  type Client,
  type KvRecord,
  OutcomeUnknownError,
  QuorateError,
  type Session,
  type Txn,
  type TxnComparison,
  type TxnResult,
  type WatchBatch,
} from '../client/index.ts'
import { checkOptions } from '../client/validators.ts'
import { abortedBy, CALL } from './checks.ts'
import { GIVE_UP_MS, isWithoutLease, type NotYet, patienceOf, until } from './waiting.ts'
import { changeAfter, isClosed, pause } from './watching.ts'

/** The pause after a watch of the own key has failed. */
const AGAIN_MS = 1_000

export interface LockOptions {
  /**
   * How long to wait for others, which may be Infinity; then a `LockNotTakenError` is thrown. 0: takes it only if it is
   * free. Default: Infinity.
   */
  readonly waitMs?: number | undefined
  /** Of the lease: how long the others wait after the holder has died. From 1,000 on. Default 10,000. */
  readonly ttlMs?: number | undefined
  /** Gives up waiting. It does not release what is held. */
  readonly signal?: AbortSignal | undefined
  /** Of each call to the cluster. Default: that of the client. */
  readonly timeoutMs?: number | undefined
}

export interface HeldLock {
  /** Greater than that of every holder before (of a semaphore, than that of everyone who came before). */
  readonly token: number
  /** Fires before it can have been lost, by the clock of this machine, with a `LockLostError`; also when released. */
  readonly signal: AbortSignal
  /** For so long it is certainly held, without another keep-alive; 0: it may have been lost. */
  readonly leftMs: number
  /** Its value is changed with `put`, which keeps its lease; without its lease it would stay after its holder. */
  readonly key: Uint8Array
  /** Throws a `LockLostError` if it may have been lost. It looks at the clock, so it is right after a stop as well. */
  throwIfLost(): void
  /** Holds while it is held: for transactions of your own. */
  guard(): TxnComparison
  /** Throws a `LockLostError`, and has written nothing, if it is no longer held. */
  put(key: string | Uint8Array, value: string | Uint8Array, options?: CallOptions): Promise<void>
  /** Its comparisons and operations are done only while it is held; otherwise throws a `LockLostError`. */
  txn(txn: Txn, options?: CallOptions): Promise<TxnResult>
  /** false: the cluster has not confirmed it in time, and it is free when its lease has ended. That is no error. */
  release(options?: CallOptions): Promise<boolean>
  [Symbol.asyncDispose](): Promise<void>
}

/** Others held it for as long as the caller wanted to wait. Nothing was written. */
export class LockNotTakenError extends QuorateError {}

/** It is not held any more, or may not be. Nothing was written. */
export class LockLostError extends QuorateError {}

export type LockClient = Pick<Client, 'session' | 'txn' | 'watch'>

export interface Line {
  /** For messages: `lock`, `semaphore`, … */
  readonly what: string
  /** The key of a client. */
  key(lease: string): Uint8Array
  /** Under it are the keys of those that a client waits for. */
  readonly before: Uint8Array
  /** How many of them may be before a client that is served. */
  readonly served: number
  /** Of the key. */
  readonly value?: string | Uint8Array | undefined
  /**
   * Done in the transaction that creates the key, but not again by a client that goes to the end of the line. If they
   * were done when the waiting ends, or it is unknown, the error has `written: 'unknown'`.
   */
  readonly joining?: Txn['success'] | undefined
}

/** What is known of the operations `joining`. */
interface Joining {
  state: 'none' | 'not done' | 'unknown' | 'done'
}

/** Waits in the line until the client is served. If its key has gone meanwhile, it goes to the end of the line. */
export async function takeIn(kv: LockClient, line: Line, options: LockOptions): Promise<HeldLock> {
  const { ttlMs = 10_000, waitMs, signal, timeoutMs } = options
  // So that a try in vain writes nothing, and wakes nobody.
  if (waitMs === 0) await checkFree(kv, line, { signal, timeoutMs })
  const patience = patienceOf(waitMs)
  const joined: Joining = { state: line.joining === undefined ? 'none' : 'not done' }
  try {
    for (;;) {
      const session = await kv.session({ ttlMs, signal, timeoutMs })
      try {
        return await served(kv, line, session, { signal, timeoutMs }, patience.signal, joined)
      } catch (error) {
        const isLost = session.signal.aborted || error instanceof LockLostError || isWithoutLease(error)
        await session.close({ timeoutMs: GIVE_UP_MS })
        if (!isLost || signal?.aborted === true || joined.state === 'unknown') throw error
      }
    }
  } catch (error) {
    const mayBeDone = joined.state === 'unknown' || joined.state === 'done'
    throw mayBeDone ? mayHaveBegun(line.what, error, signal) : error
  } finally {
    patience.end()
  }
}

async function checkFree(
  kv: LockClient,
  { what, before, served }: Line,
  options: CallOptions,
): Promise<void> {
  const { results } = await kv.txn({ success: [{ get: { prefix: before, countOnly: true } }] }, options)
  const ahead = results[0]?.get?.count ?? 0
  if (ahead >= served) throw notTaken(what, ahead)
}

async function served(
  kv: LockClient,
  line: Line,
  session: Session,
  options: CallOptions,
  patience: AbortSignal,
  joined: Joining,
): Promise<HeldLock> {
  const signal = AbortSignal.any([session.signal, ...(options.signal ? [options.signal] : [])])
  const call = { ...options, signal }
  const { what, before, value = '' } = line
  const joining = joined.state === 'done' ? [] : (line.joining ?? [])
  const key = line.key(session.lease)
  let token: number | undefined
  let waitsFor = 0
  /** The keys before were read: there was one, and it may have gone. */
  let hasRead = false

  /** Creates the key, or finds what an earlier try has created. */
  async function join(): Promise<{
    readonly created: number
    readonly isFree: boolean
    readonly revision: number
  }> {
    const { results, revision } = await kv.txn(
      {
        compare: [{ key, exists: false }],
        success: [
          { txn: { compare: [{ prefix: before, target: 'createRevision', op: '=', to: 0 }] } },
          { put: { key, value, lease: session.lease } },
          ...joining,
        ],
        failure: [{ get: { key, keysOnly: true } }],
      },
      call,
    )
    const [first, put] = results
    if (put?.put !== undefined)
      return { created: put.put.createRevision, isFree: first?.txn?.succeeded === true, revision }
    const found = first?.get?.kvs?.[0]
    // The client has sent it again: the cluster then remembers what was done, but not what was read.
    return found === undefined ? join() : { created: found.createRevision, isFree: false, revision }
  }

  async function look(): Promise<Served | NotYet> {
    if (token === undefined) {
      const { created, isFree, revision } = await join().catch((error: unknown) => {
        const mayBeDone = !(error instanceof QuorateError) || error.written === 'unknown'
        if (mayBeDone && joined.state === 'not done') joined.state = 'unknown'
        throw error
      })
      token = created
      if (joined.state !== 'none') joined.state = 'done'
      if (isFree) return { key, token, session, seenAt: revision }
    }
    const own = token
    const isThere = { key, target: 'createRevision', op: '=', to: own } as const
    // The keys are read only if one is before: those of thousands would be read by each when its turn has come. In a
    // transaction of their own: one that named them twice would be refused at half their number.
    if (hasRead) {
      const isNext = { prefix: before, target: 'createRevision', op: '>', to: own - 1 } as const
      const { succeeded, revision } = await kv.txn({ compare: [isThere, isNext] }, call)
      if (succeeded) return { key, token: own, session, seenAt: revision }
      // It gives up: the line need not be read for that.
      if (patience.aborted && line.served === 1) return { revision, range: { key } }
    }
    const read = { get: { prefix: before, keysOnly: true } }
    const { succeeded, results, revision } = await kv.txn({ compare: [isThere], success: [read] }, call)
    if (!succeeded) throw lost(what, 'its key was deleted')
    hasRead = true
    const ahead = (results[0]?.get?.kvs ?? [])
      .filter(({ createRevision }) => createRevision < own)
      .toSorted((a, b) => a.createRevision - b.createRevision)
    waitsFor = ahead.length
    if (ahead.length < line.served) return { key, token: own, session, seenAt: revision }
    return notYet(line, ahead, revision)
  }

  const notWithin = () => notTaken(what, waitsFor)
  const found = await until(kv, look, { signal, patience, notWithin })
  // A process that was stopped sees the answer before its timers run.
  if (session.leftMs === 0) throw lost(what, 'its lease has ended')
  // Nobody is to begin what was given up, and a signal that has fired does not fire again.
  if (options.signal?.aborted === true) throw abortedBy(options.signal, what)
  return held(kv, what, found)
}

/** Of a line that serves one at a time, only the last one before is watched; otherwise any of them may go. */
function notYet({ before, served }: Line, ahead: readonly KvRecord[], revision: number): NotYet {
  const last = ahead.at(-1)
  if (served === 1 && last !== undefined) return { revision, range: { key: last.keyBytes, only: 'delete' } }
  const keys = new Set(ahead.map(({ key }) => key))
  const isReason = ({ events }: WatchBatch) => {
    for (const { key } of events) keys.delete(key)
    return keys.size < served
  }
  return { revision, range: { prefix: before, only: 'delete' }, isReason }
}

function notTaken(what: string, ahead: number): LockNotTakenError {
  const others = ahead === 1 ? 'another one holds it' : `${ahead} others hold it or wait before`
  const message = `${what}: not taken within the time to wait: ${others}`
  return new LockNotTakenError(message, { code: 'lock_not_taken', written: 'no' })
}

/** The error itself may say that nothing was written: by the last call. */
export function mayHaveBegun(what: string, cause: unknown, signal: AbortSignal | undefined): QuorateError {
  const details = { written: 'unknown', cause } as const
  if (signal?.aborted === true)
    return new AbortedError(`${what} was aborted; it may have begun`, { code: 'aborted', ...details })
  if (isClosed(cause))
    return new AbortedError(`${what}: the client is closed; it may have begun`, {
      code: 'closed',
      ...details,
    })
  const message = `${what}: its run has ended, and it may have begun`
  return new OutcomeUnknownError(message, { code: 'outcome_unknown', ...details })
}

const lost = (what: string, why: string, cause?: unknown): LockLostError =>
  new LockLostError(`${what}: it is no longer held: ${why}`, { code: 'lock_lost', written: 'no', cause })

interface Served {
  readonly key: Uint8Array
  readonly token: number
  readonly session: Session
  /** The revision of the store at which the key was there. */
  readonly seenAt: number
}

function held(kv: LockClient, what: string, { key, token, session, seenAt }: Served): HeldLock {
  const guard: TxnComparison = { key, target: 'createRevision', op: '=', to: token }
  const over = new AbortController()
  const { signal } = over
  const end = (why: string, cause?: unknown) => over.abort(lost(what, why, cause))
  const endWithSession = () => end('its lease has ended', session.signal.reason)
  session.signal.addEventListener('abort', endWithSession, { once: true })
  if (session.signal.aborted) endWithSession()

  const throwIfLost = () => {
    if (session.leftMs === 0) endWithSession()
    signal.throwIfAborted()
  }

  /** Somebody else may delete the key. */
  async function watchKey(from: number): Promise<void> {
    for (let at = from; !signal.aborted; ) {
      try {
        await changeAfter(kv, { key, only: 'delete' }, at, signal)
        const { succeeded, revision } = await kv.txn({ compare: [guard] }, { signal })
        if (!succeeded) end('its key was deleted')
        at = revision
      } catch (error) {
        if (isClosed(error)) return
        await pause(AGAIN_MS, signal)
      }
    }
  }
  void watchKey(seenAt)

  async function txn(wanted: Txn, options: CallOptions = {}): Promise<TxnResult> {
    throwIfLost()
    const { succeeded, revision, results } = await kv.txn(
      { compare: [guard], success: [{ txn: wanted }] },
      options,
    )
    const inner = results[0]?.txn
    if (succeeded && inner !== undefined) return { ...inner, revision }
    end('its key was deleted')
    throw lost(what, 'its key was deleted')
  }

  let released: Promise<boolean> | undefined
  async function release(options: CallOptions = {}): Promise<boolean> {
    checkOptions('release', options, CALL)
    session.signal.removeEventListener('abort', endWithSession)
    end('it was released')
    released ??= session.close(options)
    return await released
  }

  return {
    token,
    signal,
    get leftMs() {
      return signal.aborted ? 0 : session.leftMs
    },
    key,
    throwIfLost,
    guard: () => guard,
    put: async (target, value, options) => {
      // Without its lease the own key would stay when this client has gone.
      const lease = Buffer.from(target).equals(key) ? session.lease : undefined
      await txn({ success: [{ put: { key: target, value, lease } }] }, options)
    },
    txn,
    release,
    [Symbol.asyncDispose]: async () => {
      await release()
    },
  }
}
