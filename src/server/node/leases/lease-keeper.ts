// The leader's keeper of leases (time to live; not to be confused with leader leases). It confirms keep-alives, and
// ends leases whose time has passed. README.md explains why that is correct.
//
// A new leader first waits until it has applied an entry of its own term, and so all entries of earlier ones. Then it
// reads the lease table in slices, and follows each change (`rowChanged`).

import {
  areTooManyKeys,
  decodeLease,
  EXPIRE_LEASES_MAX,
  type KvState,
  type Lease,
  type LeaseDeadline,
  leaseOfKey,
  leasesAfter,
  MissingRowError,
  type Outcome,
  partOfLease,
  type Request,
  SYSTEM_PRINCIPAL,
} from '../../../kv/index.ts'
import type { LeaseId } from '../../../operations/forms/index.ts'
import type { Term } from '../../../raft/index.ts'
import { ScanEndedError } from '../../../storage/index.ts'
import type { PageLimits, RowScan } from '../../../storage/types.ts'
import type { Clock, Timer } from '../clock.ts'
import type { DriverLimits } from '../limits.ts'
import type { Problem, Result } from '../result.ts'
import { type DeadlineItem, Deadlines } from './deadlines.ts'

/** The node, as its leases need it. */
export interface LeaseNode {
  readonly state: KvState
  /** The term of the last applied entry. */
  readonly appliedTerm: Term
  /** An entry is applied in parts: a scan does not show the rows that it has changed so far. */
  readonly isApplying: boolean
  /** While this node leads. */
  leading(): { readonly term: Term; readonly clusterTimeMs: number } | undefined
  scan(range: { readonly gte: Uint8Array; readonly lt: Uint8Array; readonly reverse: false }): RowScan
  /** Ends well when a majority has confirmed a leader since, and this node has applied what was committed then. */
  confirm(timeoutMs: number, done: (problem: Problem | undefined) => void): void
  propose(request: Request, timeoutMs: number, done: (result: Result<Outcome>) => void): void
  /** Asks the node that leads. Returns whether there is one; `done(undefined)`: it has not answered. */
  forwardToLeader(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (kept: readonly KeptAlive[] | undefined) => void,
  ): boolean
  failed(error: Error): void
}

/** The time to live of a lease that was kept alive; undefined: there is no such lease. */
type KeptAlive = number | undefined

type KeeperLimits = Pick<DriverLimits, 'keepAlivesMax' | 'leaseRetryMs' | 'leaseProposalMs'>

/** A lease in memory. */
interface LeaseInMemory {
  readonly id: LeaseId
  lease: Lease
  /** In cluster time. It is ended then, if nothing keeps it alive. */
  endsAtMs: number
  /** An entry of this leader has set the deadline. So this leader has answered all keep-alives since then. */
  isOwn: boolean
  /** An entry that ends it was proposed. Only the log can keep it alive. */
  isEnding: boolean
  /** Its place among the deadlines, not later than `endsAtMs`; undefined while an entry that ends it is proposed. */
  due: Due | undefined
}

interface Due extends DeadlineItem {
  readonly held: LeaseInMemory
}

const SLICE: PageLimits = { rowsMax: 512, bytesMax: 64 * 1024 }
/**
 * A node that returns knows the time only from entries that it receives late. So the leader proposes a checkpoint,
 * unless an entry was stamped so recently.
 */
const RETURN_STAMP_MS = 100
/** The number of overdue leases that are sorted at a time, which takes some ten milliseconds. */
const OVERDUE_MAX = 4096
/** A timer checks again after this long at the latest. */
const SLEEP_MS_MAX = 60_000

export class LeaseKeeper {
  readonly #node: LeaseNode
  readonly #clock: Clock
  readonly #limits: KeeperLimits
  /** In which this node leads and keeps the leases; undefined: it does not lead. */
  #term: Term | undefined
  /** The table of leases: not yet read, being read, or read. */
  #phase: 'waiting' | 'loading' | 'loaded' = 'waiting'
  readonly #held = new Map<LeaseId, LeaseInMemory>()
  readonly #deadlines = new Deadlines<Due>()
  /** Leases whose time has passed, in the reverse order of ending them. */
  #overdue: LeaseInMemory[] = []
  /** Leases that ended while the table was being read. */
  readonly #endedWhileLoading = new Set<LeaseId>()
  #scan: RowScan | undefined
  #isExpiring = false
  #isCheckpointing = false
  /** A node has returned and needs a checkpoint. */
  #needsCheckpoint = false
  /** Nothing is proposed before, since the last attempt has failed. */
  #notBefore = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #isStopped = false
  readonly #totals = { expired: 0, inMemory: 0, inLog: 0 }
  /** Keep-alives that are not answered. */
  #openKeepAlives = 0

  constructor(node: LeaseNode, clock: Clock, limits: KeeperLimits) {
    this.#node = node
    this.#clock = clock
    this.#limits = limits
  }

  /** The open work; all 0 at rest. */
  inspect(): Readonly<Record<string, number>> {
    return {
      keepAlives: this.#openKeepAlives,
      loading: Number(this.#phase === 'loading'),
      expiring: Number(this.#isExpiring),
      checkpointing: Number(this.#isCheckpointing),
    }
  }

  /** Since the start: leases that this leader has ended, and keep-alives answered without an entry, and with one. */
  get totals(): { readonly expired: number; readonly inMemory: number; readonly inLog: number } {
    return this.#totals
  }

  stop(): void {
    this.#isStopped = true
    this.#reset()
  }

  /** Called when the role may have changed, and when entries were applied. */
  check(): void {
    if (this.#isStopped) return
    const term = this.#node.leading()?.term
    if (term !== this.#term) {
      this.#reset()
      this.#term = term
    }
    if (term === undefined) return
    if (this.#phase === 'waiting' && this.#node.appliedTerm === term && !this.#node.isApplying)
      this.#load(term)
    if (this.#phase === 'loaded' && this.#held.size > 0) this.#arm()
  }

  /** A node has connected. */
  connected(): void {
    if (this.#term === undefined || this.#node.state.leases.count === 0) return
    this.#needsCheckpoint = true
    this.#arm()
  }

  /** Called for each row of the table of leases that an entry writes, before it is applied as a whole. */
  rowChanged(rowKey: Uint8Array, row: Uint8Array | undefined, clusterTimeMs: number): void {
    if (this.#phase === 'waiting') return
    const id = leaseOfKey(rowKey)
    const held = this.#held.get(id)
    if (row === undefined) {
      if (this.#phase === 'loading') this.#endedWhileLoading.add(id)
      this.#held.delete(id)
      if (held?.due !== undefined) this.#deadlines.remove(held.due)
      return
    }
    const lease = decodeLease(row)
    if (lease.isEnding) {
      this.#partDeleted(id, lease, held, clusterTimeMs)
      return
    }
    // While the table is being read, it is not known whether the entry has set the deadline.
    if (held === undefined && this.#phase === 'loading') this.#hold(id, lease, lease.deadlineMs, false)
    else if (held === undefined) this.#hold(id, lease, clusterTimeMs + lease.ttlMs, true)
    else if (lease.deadlineMs === held.lease.deadlineMs) held.lease = lease
    else {
      const endsAtMs = clusterTimeMs + lease.ttlMs
      held.endsAtMs = held.isOwn ? Math.max(held.endsAtMs, endsAtMs) : endsAtMs
      held.lease = lease
      held.isOwn = true
      held.isEnding = false
      this.#schedule(held)
    }
  }

  /**
   * A part of the keys of the lease is deleted, or others have put one of them. The next part is due now, behind the
   * leases that are due already.
   */
  #partDeleted(id: LeaseId, lease: Lease, held: LeaseInMemory | undefined, clusterTimeMs: number): void {
    if (held === undefined) {
      this.#hold(id, lease, clusterTimeMs, false)
      return
    }
    held.lease = lease
    held.endsAtMs = Math.min(held.endsAtMs, clusterTimeMs)
    this.#schedule(held)
  }

  /**
   * How long the lease lives if nothing keeps it alive; undefined: this node does not know. After a change of leader it
   * may live for longer, but what it was granted is the most that a client may count on.
   */
  remainingMs(id: LeaseId): number | undefined {
    const lead = this.#leading()
    const held = lead && this.#held.get(id)
    if (lead === undefined || held === undefined || held.lease.isEnding) return undefined
    return Math.max(0, Math.min(held.lease.ttlMs, held.endsAtMs - lead.clusterTimeMs))
  }

  /** The times that leases have left, for a node that does not lead; undefined: this node does not lead either. */
  remainingTtlsFor(ids: readonly LeaseId[]): readonly KeptAlive[] | undefined {
    // A frame has whole milliseconds, and 0 stands for a lease that does not exist.
    const remaining = (ms: number | undefined) => ms && Math.max(1, Math.ceil(ms))
    return this.#leading() && ids.map((id) => remaining(this.remainingMs(id)))
  }

  /**
   * Keeps leases alive for their whole time to live from now on. The leader keeps this promise in memory if it ends
   * before the replicated deadline, and proposes an entry otherwise. Another node forwards the request to the leader.
   */
  keepAlive(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (result: Result<readonly KeptAlive[]>) => void,
  ): void {
    const { keepAlivesMax } = this.#limits
    if (this.#openKeepAlives >= keepAlivesMax) {
      const detail = `${keepAlivesMax} requests to keep leases alive wait on this node already`
      this.#clock.soon(() => done({ ok: false, problem: { code: 'overloaded', detail, written: 'no' } }))
      return
    }
    const until = this.#clock.now() + timeoutMs
    const leadBefore = this.#leading()
    this.#openKeepAlives++
    const answer = (result: Result<readonly KeptAlive[]>): void => {
      this.#openKeepAlives--
      done(result)
    }
    if (leadBefore === undefined) {
      const isForwarded = this.#node.forwardToLeader(ids, timeoutMs, (kept) => {
        if (kept !== undefined) answer({ ok: true, value: kept })
        else this.#renew(ids, Math.max(1, until - this.#clock.now()), answer)
      })
      if (!isForwarded) this.#renew(ids, timeoutMs, answer)
      return
    }
    this.#node.confirm(timeoutMs, (problem) => {
      if (problem !== undefined) return answer({ ok: false, problem })
      const lead = this.#leading()
      const leftMs = Math.max(1, until - this.#clock.now())
      // Another node may have confirmed that it leads.
      if (lead?.term !== leadBefore.term) return this.#renew(ids, leftMs, answer)
      const kept = ids.map((id) => this.#extend(id, lead.clusterTimeMs))
      const others = ids.filter((_, at) => kept[at] === 'needs entry')
      if (others.length === 0) return answer({ ok: true, value: kept.map(keptTtl) })
      this.#renew(others, leftMs, (result) => {
        if (!result.ok) return answer(result)
        const renewed = result.value.values()
        const value = kept.map((each) => (each === 'needs entry' ? renewed.next().value : each))
        answer({ ok: true, value })
      })
    })
  }

  /** Keeps leases alive for a node that does not lead. `done(undefined)`: this node could not, or does not lead. */
  keepAliveFor(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (kept: readonly KeptAlive[] | undefined) => void,
  ): void {
    if (this.#leading() === undefined) done(undefined)
    else this.keepAlive(ids, timeoutMs, (result) => done(result.ok ? result.value : undefined))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Keep-alives

  /** In memory, if that is possible. */
  #extend(id: LeaseId, clusterTimeMs: number): KeptAlive | 'needs entry' {
    const held = this.#held.get(id)
    if (held === undefined || held.lease.isEnding) return undefined
    const { ttlMs, deadlineMs } = held.lease
    const promised = clusterTimeMs + ttlMs
    if (!held.isOwn || held.isEnding || promised > deadlineMs) return 'needs entry'
    held.endsAtMs = Math.max(held.endsAtMs, promised)
    this.#totals.inMemory++
    return ttlMs
  }

  #renew(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (result: Result<readonly KeptAlive[]>) => void,
  ): void {
    this.#node.propose(newRequest({ kind: 'renew', ids }), timeoutMs, (result) => {
      if (!result.ok) return done(result)
      if (result.value.kind !== 'renewed') throw new Error(`a renewal ended as ${result.value.kind}`)
      this.#totals.inLog += ids.length
      done({ ok: true, value: result.value.ttlsMs })
    })
  }

  /** Cluster time, if this node leads and has all leases in memory. */
  #leading(): { readonly term: Term; readonly clusterTimeMs: number } | undefined {
    const lead = this.#node.leading()
    return this.#phase === 'loaded' && lead?.term === this.#term ? lead : undefined
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Which leases there are

  #reset(): void {
    this.#term = undefined
    this.#phase = 'waiting'
    this.#held.clear()
    this.#deadlines.clear()
    this.#overdue = []
    this.#endedWhileLoading.clear()
    this.#scan?.close()
    this.#scan = undefined
    this.#isExpiring = false
    this.#isCheckpointing = false
    this.#needsCheckpoint = false
    this.#notBefore = Number.NEGATIVE_INFINITY
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
  }

  #load(term: Term): void {
    this.#phase = 'loading'
    if (this.#node.state.leases.count === 0) this.#loaded()
    else this.#read(term)
  }

  #read(term: Term): void {
    const scan = this.#node.scan({ ...leasesAfter(undefined), reverse: false })
    this.#scan = scan
    const isOver = (error: Error | undefined): boolean => {
      if (term !== this.#term) return true
      if (error === undefined) return false
      this.#scan = undefined
      // Ended for lack of disk space: once more.
      if (error instanceof ScanEndedError) this.#read(term)
      else this.#node.failed(error)
      return true
    }
    const readSlice = (): void =>
      scan.next(SLICE, (error, rows, more) => {
        if (isOver(error)) return
        for (const { key, value } of rows) this.#rowRead(leaseOfKey(key), decodeLease(value))
        if (more) return void this.#clock.soon(() => isOver(undefined) || readSlice())
        scan.finish((unread) => {
          if (isOver(unread)) return
          this.#scan = undefined
          this.#loaded()
        })
      })
    readSlice()
  }

  /** A row of the table. Another leader may have promised that the lease lives until its deadline. */
  #rowRead(id: LeaseId, lease: Lease): void {
    // A lease in memory is newer than its row.
    if (!this.#held.has(id) && !this.#endedWhileLoading.has(id))
      this.#hold(id, lease, lease.isEnding ? 0 : lease.deadlineMs, false)
  }

  #loaded(): void {
    // A lease whose row a disk hides would never end. The register follows at the end of an entry.
    const { isApplying, state } = this.#node
    if (!isApplying && this.#held.size !== state.leases.count) {
      const what = `${state.leases.count} leases exist, and ${this.#held.size} have a row`
      this.#node.failed(new MissingRowError(what))
      return
    }
    this.#phase = 'loaded'
    this.#endedWhileLoading.clear()
    this.#arm()
  }

  #hold(id: LeaseId, lease: Lease, endsAtMs: number, isOwn: boolean): void {
    const held: LeaseInMemory = { id, lease, endsAtMs, isOwn, isEnding: false, due: undefined }
    this.#held.set(id, held)
    this.#schedule(held)
  }

  /** A deadline that has moved into the future is found when the earlier one has passed. */
  #schedule(held: LeaseInMemory): void {
    const { due, endsAtMs: atMs } = held
    if (due !== undefined && due.atMs <= atMs) return
    if (due !== undefined) this.#deadlines.remove(due)
    held.due = { atMs, held, place: 0 }
    this.#deadlines.add(held.due)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The end of leases

  #run(): void {
    const lead = this.#leading()
    if (lead === undefined) return
    if (this.#clock.now() >= this.#notBefore) {
      if (!this.#isExpiring && (this.#nextDueMs() ?? Infinity) <= lead.clusterTimeMs) this.#expire(lead.term)
      // An entry that ends leases stamps the time, too. If there is room for one proposal, it is for that entry.
      if (!this.#isExpiring) this.#checkpoint(lead.clusterTimeMs)
    }
    this.#arm()
  }

  /** When the next lease ends. */
  #nextDueMs(): number | undefined {
    return this.#overdue.length > 0 ? Number.NEGATIVE_INFINITY : this.#firstDeadlineMs()
  }

  #firstDeadlineMs(): number | undefined {
    for (;;) {
      const due = this.#deadlines.first
      if (due === undefined) return undefined
      const { held } = due
      if (held.endsAtMs <= due.atMs) return due.atMs
      this.#deadlines.take()
      held.due = undefined
      this.#schedule(held)
    }
  }

  /** Each entry ends some of those that are due, and the next one is proposed when it is applied. */
  #expire(term: Term): void {
    this.#isExpiring = true
    const ended = (isDone: boolean): void => {
      if (term !== this.#term) return
      this.#isExpiring = false
      if (!isDone) this.#notBefore = this.#clock.now() + this.#limits.leaseRetryMs
      this.#run()
    }
    this.#node.confirm(this.#limits.leaseProposalMs, (problem) => {
      const lead = this.#leading()
      if (problem !== undefined || lead?.term !== term) return ended(false)
      const due = this.#takeDue(lead.clusterTimeMs)
      // All of them were kept alive.
      if (due.length === 0) return ended(true)
      const leases = due.map(({ id, lease }): LeaseDeadline => ({ id, deadlineMs: lease.deadlineMs }))
      this.#node.propose(newRequest({ kind: 'expire', leases }), this.#limits.leaseProposalMs, (result) => {
        if (result.ok && result.value.kind === 'expired') this.#totals.expired += result.value.leases
        if (term === this.#term && !result.ok) for (const held of due) this.#reschedule(held)
        ended(result.ok)
      })
    })
  }

  /** Takes leases whose deadline has passed, as many as one entry ends. */
  #takeDue(clusterTimeMs: number): readonly LeaseInMemory[] {
    if (this.#overdue.length === 0) this.#collectOverdue(clusterTimeMs)
    const { settings } = this.#node.state
    const due: LeaseInMemory[] = []
    let [keys, keyBytes] = [0, 0]
    while (due.length < EXPIRE_LEASES_MAX) {
      const held = this.#overdue.at(-1)
      if (held === undefined) break
      const isThere = this.#held.get(held.id) === held
      if (!isThere || held.endsAtMs > clusterTimeMs) {
        this.#overdue.pop()
        if (isThere) this.#schedule(held)
        continue
      }
      const part = partOfLease(held.lease, settings)
      keys += Math.min(held.lease.keys, part?.keysMax ?? held.lease.keys)
      keyBytes += Math.min(held.lease.keyBytes, part?.keyBytesMax ?? held.lease.keyBytes)
      if (due.length > 0 && areTooManyKeys(keys, keyBytes, settings)) break
      this.#overdue.pop()
      held.isEnding = true
      due.push(held)
    }
    return due
  }

  /**
   * Moves overdue leases to `#overdue`, as many as one turn has time for. They are sorted by id, as their keys are on
   * the disk, so that one slice reads the keys of many leases.
   */
  #collectOverdue(clusterTimeMs: number): void {
    while (this.#overdue.length < OVERDUE_MAX) {
      const atMs = this.#firstDeadlineMs()
      if (atMs === undefined || atMs > clusterTimeMs) break
      const due = this.#deadlines.take()
      if (due === undefined) break
      due.held.due = undefined
      this.#overdue.push(due.held)
    }
    this.#overdue.sort((a, b) => b.id.length - a.id.length || (a.id < b.id ? 1 : -1))
  }

  /** The entry may still be applied, so only the log can keep this lease alive. */
  #reschedule(held: LeaseInMemory): void {
    if (this.#held.get(held.id) === held && held.due === undefined) this.#schedule(held)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Cluster time

  /** Proposes an entry that only stamps cluster time, if the newest stamp is old. */
  #checkpoint(clusterTimeMs: number): void {
    const { state } = this.#node
    if (this.#isCheckpointing || state.leases.count === 0) return
    if (clusterTimeMs - state.clusterTimeMs < this.#checkpointMs) return
    this.#needsCheckpoint = false
    const term = this.#term
    this.#isCheckpointing = true
    this.#node.propose(newRequest({ kind: 'renew', ids: [] }), this.#limits.leaseProposalMs, ({ ok }) => {
      if (term !== this.#term) return
      this.#isCheckpointing = false
      if (!ok) this.#notBefore = this.#clock.now() + this.#limits.leaseRetryMs
      this.#arm()
    })
  }

  /** The age at which the newest stamp needs a checkpoint. */
  get #checkpointMs(): number {
    const { leaseCheckpointMs } = this.#node.state.settings
    return this.#needsCheckpoint ? Math.min(RETURN_STAMP_MS, leaseCheckpointMs) : leaseCheckpointMs
  }

  #arm(): void {
    const lead = this.#leading()
    // While leases are being ended, the result of that decides the next step.
    if (lead === undefined || this.#isExpiring || this.#held.size === 0) return
    const now = this.#clock.now()
    const { clusterTimeMs } = this.#node.state
    const dueMs = this.#nextDueMs() ?? Infinity
    const checkpointMs = this.#isCheckpointing ? Infinity : clusterTimeMs + this.#checkpointMs
    const waitMs = Math.min(SLEEP_MS_MAX, Math.max(1, Math.min(dueMs, checkpointMs) - lead.clusterTimeMs))
    const at = Math.max(now + waitMs, this.#notBefore)
    if (at >= this.#timerAt) return
    this.#timer?.cancel()
    this.#timerAt = at
    this.#timer = this.#clock.after(at - now, () => {
      this.#timer = undefined
      this.#timerAt = Number.POSITIVE_INFINITY
      this.#run()
    })
  }
}

const newRequest = (command: Request['command']): Request => ({
  command,
  idempotency: undefined,
  principal: SYSTEM_PRINCIPAL,
})

const keptTtl = (kept: KeptAlive | 'needs entry'): KeptAlive => (kept === 'needs entry' ? undefined : kept)
