// Sessions: leases that the client keeps alive.
//
// A holder must stop before its lease can have ended. So the time to live counts from before a keep-alive was sent,
// while the cluster counts from a later moment. The clock of this machine includes sleep (suspend-aware-clock.ts), and
// a share of the time is left for clocks that run at different speeds. `signal` fires when a timer runs, which may be
// late in a process that was stopped, and up to a second late after a sleep. `throwIfLost` reads the clock.
//
// One timer serves all sessions, and one call keeps alive all leases that are due together.
//
// A lease that is not revoked blocks others until it ends. So the revocation does not depend on the caller of `close`,
// who may give up: it is tried again in the background until the lease is gone or must have ended.

import { Backoff } from './backoff.ts'
import { OutcomeUnknownError, QuorateError, SessionLostError } from './errors.ts'
import type {
  GrantedLease,
  KeptLease,
  NewLease,
  RevokedLease,
  Session,
  SessionOptions,
} from './lease-types.ts'
import { KEEP_ALIVE_MAX } from './leases.ts'
import { type Clocks, machineClocks, type Stopwatch, startStopwatch } from './suspend-aware-clock.ts'
import { after, pause } from './timer.ts'
import type { CallOptions, PutOptions, PutResult } from './types.ts'
import { checkCall, checkLeaseSession } from './validate-arguments.ts'
import { mayPass } from './watch.ts'

const TTL_MS = 10_000
/** A lease is kept alive again after this share of its time to live. */
const KEEP_ALIVE_SHARE = 1 / 3
/** Leases that are due within this share of their time are kept alive by the same call. */
const TOGETHER_SHARE = 1 / 10
/** Share of the time to live for clocks that run at different speeds. Machines differ by less than 0.1 ‰. */
const MARGIN_SHARE = 0.01
/** Timers stand still while the machine sleeps. Reading the clock this often bounds the delay after it. */
const CHECK_MS = 1_000
/**
 * A keep-alive without an answer is given up after this share of the time left, so that another one, on another
 * connection, still comes in time: the connection may be dead without an event.
 */
const KEEP_ALIVE_TRY_SHARE = 1 / 2
const KEEP_ALIVE_TRY_MS_MIN = 500
/** The pause after a keep-alive that failed. */
const RETRY_SHARE = 1 / 50
/** Time limit of a second try to revoke a lease, and of later ones: a connection may be dead without an event. */
const REVOKE_TRY_MS = 2_000
/** Pauses between such tries. */
const REVOKE_PAUSE_BASE_MS = 100
const REVOKE_PAUSE_MAX_MS = 2_000
/** A new leader prolongs a lease by up to 5 s. A keep-alive may still be on its way when the session is closed. */
const LEASE_EXTRA_MS = 10_000

/** Calls that sessions need of the client. */
export interface LeaseSessionCalls {
  grantLease(lease: NewLease, options: CallOptions): Promise<GrantedLease>
  keepLeasesAlive(ids: readonly string[], options: CallOptions): Promise<readonly KeptLease[]>
  /** Keeps no process alive. */
  revokeLease(id: string, options: CallOptions): Promise<RevokedLease>
  /** Time limit of a call without `timeoutMs`. */
  readonly timeoutMs: number
  put(key: string | Uint8Array, value: string | Uint8Array, options: PutOptions): Promise<PutResult>
  /** Calls `end` when the client is closed, at once if it is. Returns a function that unsubscribes. */
  whenClosed(end: () => void): () => void
}

/** All sessions of one client. */
export class LeaseSessions {
  readonly #calls: LeaseSessionCalls
  readonly #clocks: Clocks
  readonly #open = new Set<LeaseSession>()
  #stopTimer = () => {}
  /** When the timer fires, by the monotonic clock. */
  #firesAtMs = Number.POSITIVE_INFINITY
  /** Reading of the clock while many sessions are checked. */
  #uptimeMs: number | undefined

  constructor(calls: LeaseSessionCalls, clocks = machineClocks) {
    this.#calls = calls
    this.#clocks = { ...clocks, uptimeMs: () => this.#uptimeMs ?? clocks.uptimeMs() }
  }

  /** Number of open sessions. */
  get count(): number {
    return this.#open.size
  }

  async begin(options: SessionOptions): Promise<Session> {
    checkLeaseSession(options)
    const { ttlMs = TTL_MS, lease, ...call } = options
    const begunAt = startStopwatch(this.#clocks)
    if (lease === undefined) {
      const granted = await this.#calls.grantLease({ ttlMs }, call)
      return this.#opened(granted.id, granted.ttlMs, begunAt)
    }
    const [kept] = await this.#calls.keepLeasesAlive([lease], call)
    if (kept?.ttlMs !== undefined) return this.#opened(lease, kept.ttlMs, begunAt)
    throw new QuorateError(`there is no lease ${lease}: it has ended, or was revoked`, {
      code: 'lease_not_found',
      written: 'no',
    })
  }

  #opened(lease: string, ttlMs: number, begunAt: Stopwatch): Session {
    const session = new LeaseSession(this.#calls, lease, ttlMs, begunAt, () => {
      this.#open.delete(session)
      if (this.#open.size === 0) this.#disarm()
    })
    this.#open.add(session)
    session.begin()
    // Thousands may begin at a time, so the other sessions are not checked for each.
    if (this.#clocks.monotonicMs() + session.waitMs < this.#firesAtMs)
      this.#runWithFixedClock(() => this.#arm())
    return session
  }

  #disarm(): void {
    this.#stopTimer()
    this.#firesAtMs = Number.POSITIVE_INFINITY
  }

  #arm(): void {
    this.#disarm()
    if (this.#open.size === 0) return
    // There may be more sessions than a function takes arguments.
    let waitMs = CHECK_MS
    for (const session of this.#open) waitMs = Math.min(waitMs, session.waitMs)
    this.#firesAtMs = this.#clocks.monotonicMs() + waitMs
    this.#stopTimer = after(waitMs, () => this.#keepAlive(), { unref: true })
  }

  #keepAlive(): void {
    this.#runWithFixedClock(() => {
      for (const session of [...this.#open]) session.check()
      const open = [...this.#open].filter((session) => !session.isRequesting)
      // Timers have whole milliseconds.
      const due = open.some(({ dueInMs }) => dueInMs < 1) ? open.filter(({ isDueSoon }) => isDueSoon) : []
      for (let at = 0; at < due.length; at += KEEP_ALIVE_MAX)
        void this.#keep(due.slice(at, at + KEEP_ALIVE_MAX))
      this.#arm()
    })
  }

  /** Reads `os.uptime()` once for all sessions: it reads a file, and there may be thousands of sessions. */
  #runWithFixedClock(checkMany: () => void): void {
    this.#uptimeMs = this.#clocks.uptimeMs()
    try {
      checkMany()
    } finally {
      this.#uptimeMs = undefined
    }
  }

  async #keep(sessions: readonly LeaseSession[]): Promise<void> {
    const sentAt = startStopwatch(this.#clocks)
    for (const session of sessions) session.isRequesting = true
    try {
      const leftMs = Math.max(1, Math.min(...sessions.map((session) => session.leftMs)))
      const tryMs = Math.max(KEEP_ALIVE_TRY_MS_MIN, leftMs * KEEP_ALIVE_TRY_SHARE)
      const timeoutMs = Math.min(leftMs, tryMs)
      const kept = await this.#calls.keepLeasesAlive(
        sessions.map(({ lease }) => lease),
        { timeoutMs },
      )
      this.#runWithFixedClock(() => {
        for (const [at, session] of sessions.entries()) session.kept(kept[at]?.ttlMs, sentAt)
      })
    } catch (error) {
      // The next keep-alive follows soon, until the lease may have ended.
      this.#runWithFixedClock(() => {
        for (const session of sessions) session.failed(error)
      })
    }
    for (const session of sessions) session.isRequesting = false
    this.#runWithFixedClock(() => this.#arm())
  }
}

class LeaseSession implements Session {
  readonly lease: string
  readonly signal: AbortSignal
  isRequesting = false
  readonly #calls: LeaseSessionCalls
  readonly #lost = new AbortController()
  readonly #ended: () => void
  #ttlMs: number
  /** The lease lives for its time to live from some moment after this one. */
  #keptAt: Stopwatch
  /** When the next keep-alive is due, counted from `#keptAt`. */
  #dueMs: number
  /** Failure of the last keep-alive, if none was answered since. */
  #failure: unknown
  #stopListening = () => {}
  /** The cluster has said that there is no such lease. */
  #isGone = false
  /** It ended by `close`. */
  #isClosed = false
  /** A revocation that has not ended. Resolves to whether the lease is gone. */
  #revocation: Promise<boolean> | undefined

  constructor(calls: LeaseSessionCalls, lease: string, ttlMs: number, keptAt: Stopwatch, ended: () => void) {
    this.#calls = calls
    this.lease = lease
    this.#ttlMs = ttlMs
    this.#keptAt = keptAt
    this.#dueMs = ttlMs * KEEP_ALIVE_SHARE
    this.#ended = ended
    this.signal = this.#lost.signal
  }

  get ttlMs(): number {
    return this.#ttlMs
  }

  get leftMs(): number {
    if (this.signal.aborted) return 0
    return Math.max(0, this.#ttlMs * (1 - MARGIN_SHARE) - this.#keptAt.elapsedMs())
  }

  get dueInMs(): number {
    return this.#dueMs - this.#keptAt.elapsedMs()
  }

  /** When it needs a keep-alive or ends, whichever is first. */
  get waitMs(): number {
    return this.isRequesting ? this.leftMs : Math.min(this.leftMs, this.dueInMs)
  }

  get isDueSoon(): boolean {
    return this.dueInMs <= this.#ttlMs * KEEP_ALIVE_SHARE * TOGETHER_SHARE
  }

  begin(): void {
    this.#stopListening = this.#calls.whenClosed(() => this.#end('the client was closed'))
    // It may be closed already.
    if (this.signal.aborted) this.#stopListening()
    this.check()
  }

  /** Ends the session if the lease may have ended. */
  check(): void {
    if (this.signal.aborted || this.leftMs > 0) return
    const seconds = Number((this.#ttlMs / 1_000).toFixed(3))
    this.#end(`no keep-alive was answered within its time to live of ${seconds} s`, this.#failure)
  }

  /** A keep-alive that began at `sentAt` was answered. undefined: there is no such lease. */
  kept(ttlMs: number | undefined, sentAt: Stopwatch): void {
    // The lease may have ended before the answer arrived.
    this.check()
    if (this.signal.aborted) return
    if (ttlMs === undefined) {
      this.#endWithLease()
      return
    }
    this.#ttlMs = ttlMs
    this.#keptAt = sentAt
    this.#failure = undefined
    this.#dueMs = ttlMs * KEEP_ALIVE_SHARE
  }

  failed(error: unknown): void {
    this.#failure = error
    this.#dueMs = this.#keptAt.elapsedMs() + this.#ttlMs * RETRY_SHARE
    this.check()
  }

  throwIfLost(): void {
    this.check()
    if (this.signal.aborted) throw this.signal.reason
  }

  async put(
    key: string | Uint8Array,
    value: string | Uint8Array,
    options: PutOptions = {},
  ): Promise<PutResult> {
    this.throwIfLost()
    try {
      return await this.#calls.put(key, value, { ...options, lease: this.lease })
    } catch (error) {
      if (error instanceof QuorateError && error.code === 'lease_not_found') this.#endWithLease()
      throw error
    }
  }

  async close(options: CallOptions = {}): Promise<boolean> {
    checkCall('session.close', options)
    const { timeoutMs = this.#calls.timeoutMs, signal } = options
    this.#isClosed ||= !this.signal.aborted
    this.#end('the session was closed')
    if (this.#isGone) return true
    this.#revocation ??= this.#revoke(timeoutMs).finally(() => {
      this.#revocation = undefined
    })
    // If the session was lost, the lease has ended, unless keep-alives have arrived whose answers were lost.
    if (this.#isClosed) return await resultWithin(this.#revocation, timeoutMs, signal)
    this.#revocation.catch(() => {})
    return false
  }

  /** `timeoutMs`: time limit of the first try. The caller of `close` may wait for less. */
  async #revoke(timeoutMs: number): Promise<boolean> {
    const begun = startStopwatch()
    const backoff = new Backoff(REVOKE_PAUSE_BASE_MS, REVOKE_PAUSE_MAX_MS)
    const over = new AbortController()
    const stopListening = this.#calls.whenClosed(() => over.abort())
    try {
      for (let tryMs = timeoutMs; ; tryMs = Math.min(this.#calls.timeoutMs, REVOKE_TRY_MS)) {
        try {
          await this.#calls.revokeLease(this.lease, { timeoutMs: tryMs })
          this.#isGone = true
        } catch (error) {
          if (!(error instanceof QuorateError)) throw error
          this.#isGone ||= error.code === 'lease_not_found'
          const mayRetry = mayPass(error) || error instanceof OutcomeUnknownError
          if (!this.#isGone && (!mayRetry || begun.elapsedMs() >= this.#ttlMs + LEASE_EXTRA_MS)) return false
        }
        if (this.#isGone) return true
        await pause(backoff.next(), over.signal, { unref: true })
      }
    } finally {
      stopListening()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #endWithLease(): void {
    this.#isGone = true
    this.#end('it was revoked, or has ended')
  }

  #end(why: string, cause?: unknown): void {
    if (this.signal.aborted) return
    this.#stopListening()
    this.#ended()
    this.#lost.abort(
      new SessionLostError(`the session with lease ${this.lease} is over: ${why}`, {
        code: 'session_lost',
        written: 'no',
        cause,
      }),
    )
  }
}

/** The result of the work; false after `timeoutMs`, or when `signal` fires. The work continues. */
async function resultWithin(
  work: Promise<boolean>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const over = new AbortController()
  const limit = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal])
  try {
    return await Promise.race([work, pause(timeoutMs, limit).then(() => false)])
  } finally {
    over.abort()
  }
}
