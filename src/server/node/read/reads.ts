// Reads that wait: for a quorum that confirms a read index (thesis §6.4), for that index to be applied, or for a
// revision.
//
// All linearizable reads of one turn of the event loop share one confirmation. A refused confirmation is requested
// again until the read's time runs out. That is safe, because nothing was promised.

import type { KvState } from '../../../kv/types.ts'
import type { ReadConsistency, ReadGrant, Revision } from '../../../operations/forms/index.ts'
import type {
  InFlightCounts,
  LogIndex,
  MonotonicMs,
  Raft,
  ReadOutcome,
  ReadRequest,
} from '../../../raft/index.ts'
import type { Clock, Timer } from '../clock.ts'
import type { DiskSpacePolicy } from '../disk-space/disk-space-policy.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { NodeEvents } from '../node-events.ts'
import type { Problem, Result } from '../result.ts'
import { NumberMap } from '../write/number-map.ts'

export interface ReadRequirements {
  readonly consistency: ReadConsistency
  readonly maxStalenessMs?: number | undefined
  readonly minRevision?: Revision | undefined
  readonly timeoutMs: number
}

interface Waiter {
  readonly number: number
  readonly options: ReadRequirements
  readonly done: (result: Result<ReadGrant>) => void
  timer: Timer | undefined
  open: boolean
  /** A read waits for a confirmation, then for its index, then for its revision or its turn. */
  waitsFor: 'confirmation' | 'index' | 'revision' | 'turn'
  index: LogIndex | undefined
  served: ReadConsistency
}

/**
 * A request for a majority's confirmation. All reads that share it had arrived before it was first sent, so the reply
 * to any of its ids is valid for them.
 */
interface Confirmation {
  readonly leaderLease: boolean
  waiters: readonly Waiter[]
  ids: readonly number[]
  requestedAt: MonotonicMs
}

interface ReadsOptions {
  readonly clock: Clock
  readonly limits: DriverLimits
  readonly raft: Pick<Raft, 'leader' | 'stalenessMs'>
  readonly applied: { readonly index: LogIndex; readonly state: Pick<KvState, 'revision'> }
  readonly spacePolicy: Pick<DiskSpacePolicy, 'logEnd'>
  readonly lifecycle: Pick<Lifecycle, 'end'>
  readonly events: Pick<NodeEvents, 'wake'>
}

export class Reads {
  readonly #clock: Clock
  readonly #limits: DriverLimits
  readonly #options: ReadsOptions
  #nextNumber = 1
  #nextId = 1
  #fresh: Waiter[] = []
  /** Stale reads of this turn. */
  readonly #stale: Waiter[] = []
  #parked: Waiter[] = []
  /** Confirmation requests by each of their ids. */
  readonly #requested = new NumberMap<Confirmation>()
  /** Confirmation requests to repeat under another id. */
  #repeated: Confirmation[] = []
  /** Confirmed, sorted by index. */
  #awaitingIndex: Waiter[] = []
  #awaitingRevision = new Set<Waiter>()
  /** Reads that wait until earlier ones have finished. */
  #awaitingTurn: Waiter[] = []
  /** Open reads by number. */
  readonly #open = new NumberMap<Waiter>()
  /**
   * Reads that expired or were withdrawn, and may still be in one of the lists above. There are never more of these
   * than open ones.
   */
  #endedEarly = 0

  constructor(options: ReadsOptions) {
    this.#clock = options.clock
    this.#limits = options.limits
    this.#options = options
  }

  get hasFresh(): boolean {
    return this.#fresh.length > 0 || this.#repeated.length > 0
  }

  /** Whether `unpark` has a confirmation to request again. */
  get hasParked(): boolean {
    return this.#parked.length > 0 || this.#requested.size > 0
  }

  get size(): number {
    return this.#open.size
  }

  /** The work in flight; all 0 at rest. */
  inspect(): InFlightCounts {
    return {
      open: this.#open.size,
      fresh: this.#fresh.length,
      parked: this.#parked.length,
      requested: new Set(this.#requested.values()).size,
      awaitingIndex: this.#awaitingIndex.length,
      awaitingRevision: this.#awaitingRevision.size,
      awaitingTurn: this.#awaitingTurn.length,
    }
  }

  /** Returns a function that withdraws the read: if it still waits, it ends as `cancelled`. */
  read(options: ReadRequirements, done: (result: Result<ReadGrant>) => void): () => void {
    const { end } = this.#options.lifecycle
    if (end === undefined) {
      const withdraw = this.#add(options, done)
      this.#options.events.wake()
      return withdraw
    }
    const problem = { code: 'not_ready', detail: end.reason, written: 'no' } as const
    this.#clock.soon(() => done({ ok: false, problem }))
    return () => {}
  }

  #add(options: ReadRequirements, done: (result: Result<ReadGrant>) => void): () => void {
    const waiter: Waiter = {
      number: this.#nextNumber++,
      options,
      done,
      timer: undefined,
      open: true,
      waitsFor: 'confirmation',
      index: undefined,
      served: options.consistency === 'stale' ? 'stale' : 'linearizable',
    }
    if (this.#open.size >= this.#limits.readsMax) {
      const detail = `${this.#limits.readsMax} reads wait on this node already`
      this.#clock.soon(() =>
        this.#end(waiter, { ok: false, problem: { code: 'overloaded', detail, written: 'no' } }),
      )
      return () => this.#withdraw(waiter)
    }
    this.#open.set(waiter.number, waiter)
    if (options.consistency === 'stale') {
      if (this.#stale.length === 0) this.#clock.soon(() => this.#grantAll(this.#stale.splice(0)))
      this.#stale.push(waiter)
    } else {
      this.#arm(waiter)
      this.#fresh.push(waiter)
    }
    return () => this.#withdraw(waiter)
  }

  /** The next requests for the core: at most one linearizable and one lease read for all that arrived. */
  nextBatch(): ReadRequest[] {
    const linearizable: Waiter[] = []
    const leased: Waiter[] = []
    for (const waiter of this.#fresh) {
      if (waiter.open) (waiter.options.consistency === 'lease' ? leased : linearizable).push(waiter)
    }
    this.#fresh = []
    const confirmations = this.#repeated
    this.#repeated = []
    const now = this.#clock.now()
    for (const [waiters, leaderLease] of [
      [linearizable, false],
      [leased, true],
    ] as const)
      if (waiters.length > 0) confirmations.push({ leaderLease, waiters, ids: [], requestedAt: now })
    return confirmations.map((confirmation) => {
      const id = this.#nextId++
      confirmation.ids = [...confirmation.ids, id]
      confirmation.requestedAt = now
      this.#requested.set(id, confirmation)
      return { id, leaderLease: confirmation.leaderLease }
    })
  }

  /**
   * Makes refused reads fresh again. A confirmation without a reply for `readRetryMs` is requested once more: the
   * request or the reply may be lost, or only late. Each pause is twice the previous one: if replies are late because
   * of overload, more requests would make them later.
   */
  unpark(): void {
    const again = this.#parked
    this.#parked = []
    this.#fresh = [...again.filter((waiter) => waiter.open), ...this.#fresh]
    const now = this.#clock.now()
    for (const confirmation of this.#requested.values()) {
      const pauseMs = this.#limits.readRetryMs * 2 ** (confirmation.ids.length - 1)
      if (now - confirmation.requestedAt < pauseMs) continue
      if (confirmation.waiters.some(({ open }) => open)) {
        confirmation.requestedAt = now
        this.#repeated.push(confirmation)
      } else this.#forget(confirmation)
    }
  }

  resolve(outcome: ReadOutcome): void {
    const confirmation = this.#requested.get(outcome.id)
    if (confirmation === undefined) return
    if (outcome.outcome === 'refused' && confirmation.ids.length > 1) {
      this.#requested.delete(outcome.id)
      confirmation.ids = confirmation.ids.filter((id) => id !== outcome.id)
      return
    }
    this.#forget(confirmation)
    const open = confirmation.waiters.filter((waiter) => waiter.open)
    if (outcome.outcome === 'refused') {
      for (const waiter of open) this.#parked.push(waiter)
      return
    }
    const isApplied = this.#options.applied.index >= outcome.index
    for (const waiter of open) {
      waiter.index = outcome.index
      if (outcome.leaderLease) waiter.served = 'lease'
      if (!isApplied) this.#awaitIndex(waiter, outcome.index)
    }
    if (isApplied) this.#grantAll(open)
    else if (this.#options.spacePolicy.logEnd !== undefined) this.#expireSoon(open)
  }

  /**
   * The index of these reads may not arrive before there is room, and other nodes can serve them. An index up to the
   * end of the log, such as the first entry of a term, does arrive.
   */
  #expireSoon(waiters: readonly Waiter[]): void {
    this.#clock.after(this.#limits.readRetryMs, () => {
      const { applied, spacePolicy } = this.#options
      const endsAt = spacePolicy.logEnd
      if (endsAt === undefined) return
      for (const waiter of waiters) {
        const willArrive =
          waiter.waitsFor === 'revision' ? applied.index < endsAt : (waiter.index ?? 0) <= endsAt
        if (waiter.open && !willArrive) this.#expire(waiter)
      }
    })
  }

  #forget(confirmation: Confirmation): void {
    for (const id of confirmation.ids) this.#requested.delete(id)
    this.#repeated = this.#repeated.filter((one) => one !== confirmation)
  }

  /** Called after more entries were applied. */
  applied(): void {
    const applied = this.#options.applied.index
    let ready = 0
    while (ready < this.#awaitingIndex.length && (this.#awaitingIndex[ready]?.index ?? 0) <= applied) ready++
    if (ready > 0) this.#grantAll(this.#awaitingIndex.splice(0, ready))
    const reached: Waiter[] = []
    for (const waiter of this.#awaitingRevision)
      if (this.#options.applied.state.revision >= (waiter.options.minRevision ?? 0)) reached.push(waiter)
    for (const waiter of reached) this.#awaitingRevision.delete(waiter)
    if (reached.length > 0) this.#grantAll(reached)
  }

  endAll(reason: string): void {
    for (const waiter of this.#open.values()) {
      this.#end(waiter, { ok: false, problem: { code: 'not_ready', detail: reason, written: 'no' } })
    }
    this.#forgetAnswered()
  }

  #awaitIndex(waiter: Waiter, index: LogIndex): void {
    waiter.waitsFor = 'index'
    // Confirmations arrive in rising order, except for rare late replies. So the position is nearly always at the end.
    let at = this.#awaitingIndex.length
    while ((this.#awaitingIndex[at - 1]?.index ?? 0) > index) at--
    this.#awaitingIndex.splice(at, 0, waiter)
  }

  /**
   * Grants the reads one after another, with pauses for other events. A granted read runs at once, which takes
   * milliseconds for a large value, and one confirmation may grant hundreds of reads.
   */
  #grantAll(waiters: readonly Waiter[]): void {
    if (this.#awaitingTurn.length > 0) {
      this.#awaitTurn(waiters)
      return
    }
    const until = this.#clock.now() + this.#limits.applySliceMs
    for (const [at, waiter] of waiters.entries()) {
      if (at > 0 && this.#clock.now() >= until) {
        this.#awaitTurn(waiters.slice(at))
        this.#clock.soon(() => this.#grantAll(this.#awaitingTurn.splice(0)))
        return
      }
      this.#grant(waiter)
    }
  }

  #awaitTurn(waiters: readonly Waiter[]): void {
    for (const waiter of waiters) {
      waiter.waitsFor = 'turn'
      if (waiter.open && waiter.timer === undefined) this.#arm(waiter)
    }
    this.#awaitingTurn = this.#awaitingTurn.concat(waiters)
  }

  #grant(waiter: Waiter): void {
    if (!waiter.open) return
    const { minRevision, maxStalenessMs, consistency } = waiter.options
    if (this.#options.applied.state.revision < (minRevision ?? 0)) {
      waiter.waitsFor = 'revision'
      if (waiter.timer === undefined) this.#arm(waiter)
      this.#awaitingRevision.add(waiter)
      if (this.#options.spacePolicy.logEnd !== undefined) this.#expireSoon([waiter])
      return
    }
    const stalenessMs =
      consistency === 'stale' ? this.#options.raft.stalenessMs(this.#clock.now()) : undefined
    if (consistency === 'stale' && maxStalenessMs !== undefined) {
      if (stalenessMs === undefined || stalenessMs > maxStalenessMs) {
        this.#end(waiter, { ok: false, problem: tooStale(stalenessMs, maxStalenessMs) })
        return
      }
    }
    this.#end(waiter, {
      ok: true,
      value: { served: waiter.served, stalenessMs, revision: this.#options.applied.state.revision },
    })
  }

  #arm(waiter: Waiter): void {
    waiter.timer = this.#clock.after(waiter.options.timeoutMs, () => this.#expire(waiter))
  }

  #expire(waiter: Waiter): void {
    this.#endedEarly++
    this.#endExpired(waiter)
  }

  #withdraw(waiter: Waiter): void {
    if (!waiter.open) return
    this.#endedEarly++
    const detail = 'the client has gone, or has cancelled the read'
    this.#end(waiter, { ok: false, problem: { code: 'cancelled', detail, written: 'no' } })
  }

  /** Removes finished reads here, because without a leader parked reads are never requested again. */
  #forgetAnswered(): void {
    this.#endedEarly = 0
    const isOpen = ({ open }: Waiter): boolean => open
    this.#fresh = this.#fresh.filter(isOpen)
    this.#parked = this.#parked.filter(isOpen)
    this.#awaitingIndex = this.#awaitingIndex.filter(isOpen)
    this.#awaitingTurn = this.#awaitingTurn.filter(isOpen)
    for (const confirmation of new Set(this.#requested.values())) {
      confirmation.waiters = confirmation.waiters.filter(isOpen)
      if (confirmation.waiters.length === 0) this.#forget(confirmation)
    }
  }

  #endExpired(waiter: Waiter): void {
    const { applied, raft } = this.#options
    const { revision } = applied.state
    const minRevision = waiter.options.minRevision
    if (waiter.waitsFor === 'revision') {
      const detail = `this node is at revision ${revision}, the request asks for at least ${minRevision}`
      this.#end(waiter, { ok: false, problem: { code: 'revision_behind', detail, written: 'no' } })
    } else if (waiter.waitsFor === 'index') {
      const detail = `this node has applied up to ${this.#options.applied.index}, the read needs ${waiter.index}`
      this.#end(waiter, { ok: false, problem: { code: 'not_ready', detail, written: 'no' } })
    } else if (waiter.waitsFor === 'turn') {
      const detail = 'more reads were to be answered than there was time for'
      this.#end(waiter, { ok: false, problem: { code: 'overloaded', detail, written: 'no' } })
    } else if (raft.leader !== undefined) {
      const time = `${Number(waiter.options.timeoutMs.toFixed(3))} ms`
      const detail = `the ${time} of the request ran out before a majority of the voters confirmed the leader`
      this.#end(waiter, { ok: false, problem: { code: 'no_quorum', detail, written: 'no' } })
    } else {
      const detail = 'no leader is known to this node: it may be cut off from the majority'
      this.#end(waiter, { ok: false, problem: { code: 'no_leader', detail, written: 'no' } })
    }
  }

  #end(waiter: Waiter, result: Result<ReadGrant>): void {
    if (!waiter.open) return
    waiter.open = false
    this.#open.delete(waiter.number)
    if (this.#endedEarly > this.#open.size) this.#forgetAnswered()
    this.#awaitingRevision.delete(waiter)
    waiter.timer?.cancel()
    waiter.done(result)
  }
}

function tooStale(stalenessMs: number | undefined, maxStalenessMs: number): Problem {
  const known = stalenessMs === undefined ? 'unknown' : `at most ${Math.ceil(stalenessMs)} ms`
  return {
    code: 'too_stale',
    detail: `the state of this node is ${known} old; the request allows ${maxStalenessMs} ms`,
    written: 'no',
  }
}
