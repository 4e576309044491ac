// The proposals of this node for which a caller waits, from the moment they are sealed until their outcome is known.
//
// The rule of this file: an answer says "not written" only if the core said so (refused, superseded) or never received
// the proposal. Every other proposal whose time runs out gets `outcome_unknown`.

import type { Applied } from '../../kv/index.ts'
import {
  assertNever,
  type LogIndex,
  type MonotonicMs,
  type Proposal,
  type ProposalOutcome,
  type Refusal,
  type UnderWay,
} from '../../raft/index.ts'
import type { DriverLimits } from './limits.ts'
import { NumberMap } from './number-map.ts'
import type { Clock, Problem, Result, Timer } from './types.ts'

/**
 * The pause before a refused proposal is tried again is doubled at most this often. While leadership is handed over,
 * each try is a message.
 */
const PAUSE_DOUBLINGS_MAX = 4

/** The end of a committed proposal: the result of apply, or undefined for an entry of the core. */
export type ProposalEnd = Result<Applied | undefined>

interface Waiter {
  seq: number
  /** The callers that wait for it. */
  readonly count: number
  frame: Uint8Array
  /** `idle`: certainly not in any log. `handed`: the core has it. `committed`: it only has to be applied. */
  state: 'idle' | 'handed' | 'committed'
  /** Why it is idle after it was given to the core. */
  refusal: Refusal | undefined
  /** How often it was tried again only because time had passed. */
  retries: number
  /** While it is parked: when its next pause ends. */
  retryAt: MonotonicMs
  readonly deadline: MonotonicMs
  /**
   * A proposal that was held back is not handed over after this time. Half of its time must remain for the rest, or its
   * outcome would not be known in time.
   */
  readonly handOverBy: MonotonicMs
  readonly done: (end: ProposalEnd) => void
}

export class Proposals {
  readonly #clock: Clock
  readonly #limits: DriverLimits
  readonly #renew: (frame: Uint8Array) => Proposal
  readonly #ended: (seq: number, end: ProposalEnd, count: number) => void
  /** By seq. */
  readonly #waiters = new NumberMap<Waiter>()
  /** By index. */
  readonly #awaitingApply = new NumberMap<Waiter>()
  /** Handed over at the end of this turn, in the order of arrival. */
  #fresh: Waiter[] = []
  #heldBack = false
  /** Refused because there was no leader. They are tried again when one is known. An expired one is removed at once. */
  readonly #parked = new Set<Waiter>()
  #bytes = 0
  /** Callers that wait. */
  #size = 0
  /** One timer for all proposals: very few of them expire. */
  #timer: Timer | undefined
  #timerAt: MonotonicMs = Number.POSITIVE_INFINITY

  /**
   * `renew` seals the payload of a frame again, under a new seq. `ended` is called for each proposal, before its caller
   * is told.
   */
  constructor(
    clock: Clock,
    limits: DriverLimits,
    renew: (frame: Uint8Array) => Proposal,
    ended: (seq: number, end: ProposalEnd, count: number) => void = () => {},
  ) {
    this.#clock = clock
    this.#limits = limits
    this.#renew = renew
    this.#ended = ended
  }

  /** How many callers wait. */
  get size(): number {
    return this.#size
  }

  get hasFresh(): boolean {
    return this.#fresh.length > 0
  }

  /** How many callers wait for what is not handed to the core yet. */
  get fresh(): number {
    return this.#fresh.reduce((sum, { count }) => sum + count, 0)
  }

  /** Whether some fresh ones were not given to the core, because there was no room. */
  get isHeldBack(): boolean {
    return this.#heldBack
  }

  get hasParked(): boolean {
    return this.#parked.size > 0
  }

  /** What is under way; all 0 at rest. */
  inspect(): UnderWay {
    return {
      waiting: this.#size,
      bytes: this.#bytes,
      fresh: this.#fresh.length,
      parked: this.#parked.size,
      committed: this.#awaitingApply.size,
    }
  }

  /** Why a proposal of `bytes` of so many callers is refused now; undefined when it is accepted. */
  overload(bytes: number, count = 1): Problem | undefined {
    const { proposalsMax, proposalBytesMax } = this.#limits
    if (this.#size + count <= proposalsMax && this.#bytes + bytes <= proposalBytesMax) return undefined
    return {
      code: 'overloaded',
      detail: `${this.#size} proposals (${this.#bytes} bytes) wait on this node already; limits: ${proposalsMax} and ${proposalBytesMax} bytes`,
      written: 'no',
    }
  }

  add(seq: number, frame: Uint8Array, timeoutMs: number, done: (end: ProposalEnd) => void, count = 1): void {
    const deadline = this.#clock.now() + timeoutMs
    const waiter: Waiter = {
      seq,
      count,
      frame,
      state: 'idle',
      refusal: undefined,
      retries: 0,
      retryAt: 0,
      deadline,
      handOverBy: deadline - timeoutMs / 2,
      done,
    }
    this.#waiters.set(seq, waiter)
    if (deadline < this.#timerAt) this.#arm(deadline)
    this.#bytes += frame.length
    this.#size += count
    this.#fresh.push(waiter)
  }

  /**
   * The next proposals for the core. They are taken as long as `bytesMax` is not used up; the last one may exceed it.
   */
  nextBatch(bytesMax = Number.POSITIVE_INFINITY): Proposal[] {
    const batch: Proposal[] = []
    const now = this.#clock.now()
    let [at, last, bytes] = [0, 0, 0]
    for (const waiter of this.#fresh) {
      if (bytes >= bytesMax) break
      at++
      if (this.#waiters.get(waiter.seq) !== waiter) continue // expired meanwhile
      if (this.#heldBack && now > waiter.handOverBy) {
        this.#end(waiter, tooMuch)
        continue
      }
      // It was given to the core before. A leader accepts no seq twice and none after a later one, and may have stamped
      // the frame.
      if (waiter.refusal !== undefined || waiter.seq < last) this.#renumber(waiter)
      last = waiter.seq
      waiter.state = 'handed'
      bytes += waiter.frame.length
      batch.push({ seq: waiter.seq, frame: waiter.frame })
    }
    this.#fresh = this.#fresh.slice(at)
    this.#heldBack = this.hasFresh
    return batch
  }

  /** A leader is known again: parked proposals become fresh. */
  unpark(): void {
    for (const waiter of this.#parked) waiter.retries = 0
    this.#fresh = [...this.#parked, ...this.#fresh]
    this.#parked.clear()
  }

  /** Some time has passed: those whose pause is over become fresh. Each pause is longer than the one before. */
  unparkDue(): void {
    const now = this.#clock.now()
    const due = [...this.#parked].filter(({ retryAt }) => retryAt <= now)
    for (const waiter of due) {
      waiter.retries++
      this.#parked.delete(waiter)
    }
    this.#fresh = [...due, ...this.#fresh]
  }

  resolve(outcome: ProposalOutcome): void {
    const waiter = this.#waiters.get(outcome.seq)
    if (waiter === undefined) return // it was answered as unknown when its time ran out
    switch (outcome.outcome) {
      case 'committed':
        waiter.state = 'committed'
        this.#awaitingApply.set(outcome.index, waiter)
        return
      case 'superseded':
        this.#park(waiter, { reason: 'not-leader' })
        return
      case 'unknown':
        this.#end(waiter, unknown('the entries that tell what became of it were replaced by a snapshot'))
        return
      case 'refused':
        this.#refused(waiter, outcome.refusal)
        return
      default:
        assertNever(outcome)
    }
  }

  applied(index: LogIndex, result: Applied | undefined): void {
    const waiter = this.#awaitingApply.get(index)
    if (waiter === undefined) return
    this.#awaitingApply.delete(index)
    this.#end(waiter, { ok: true, value: result })
  }

  /** A snapshot replaced the entries up to `index`. Their results will not be computed here. */
  skipped(index: LogIndex): void {
    for (const [at, waiter] of this.#awaitingApply.entries()) {
      if (at > index) continue
      this.#awaitingApply.delete(at)
      this.#end(waiter, unknown('it was committed, but a snapshot hid its result'))
    }
  }

  /** The node ends: every caller gets a true answer. */
  endAll(reason: string): void {
    this.#timer?.cancel()
    for (const [, waiter] of this.#waiters.entries()) {
      this.#end(waiter, waiter.state === 'idle' ? notWritten('not_ready', reason) : unknown(reason))
    }
  }

  #renumber(waiter: Waiter): void {
    const { seq, frame } = this.#renew(waiter.frame)
    this.#waiters.delete(waiter.seq)
    waiter.seq = seq
    waiter.frame = frame
    this.#waiters.set(seq, waiter)
  }

  #refused(waiter: Waiter, refusal: Refusal): void {
    switch (refusal.reason) {
      case 'no-leader':
      case 'not-leader':
      case 'transferring':
      case 'membership-pending':
        this.#park(waiter, refusal)
        return
      case 'overloaded':
        this.#end(waiter, notWritten('overloaded', refusal.detail))
        return
      case 'storage-full':
        this.#end(
          waiter,
          notWritten('storage_full', `${refusal.detail}; deletes are taken as long as there is any room`),
        )
        return
      case 'too-large':
        this.#end(waiter, notWritten('request_too_large', refusal.detail))
        return
      case 'membership':
        this.#end(waiter, notWritten('membership_refused', refusal.detail))
        return
      default:
        assertNever(refusal)
    }
  }

  #park(waiter: Waiter, refusal: Refusal): void {
    waiter.state = 'idle'
    waiter.refusal = refusal
    const pauseMs = this.#limits.retryMs * 2 ** Math.min(waiter.retries, PAUSE_DOUBLINGS_MAX)
    waiter.retryAt = this.#clock.now() + pauseMs
    this.#parked.add(waiter)
  }

  #arm(at: MonotonicMs): void {
    this.#timer?.cancel()
    this.#timerAt = at
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#expireDue())
  }

  #expireDue(): void {
    const now = this.#clock.now()
    const due: Waiter[] = []
    let next = Number.POSITIVE_INFINITY
    // When many proposals expire one after another, this runs for nearly each of them, and checks all others.
    this.#waiters.forEach((waiter) => {
      if (waiter.deadline <= now) due.push(waiter)
      else next = Math.min(next, waiter.deadline)
    })
    this.#timerAt = Number.POSITIVE_INFINITY
    for (const waiter of due.sort((a, b) => a.seq - b.seq)) this.#expire(waiter)
    // Expired ones are removed here, because `nextBatch` may not run for a long time.
    this.#fresh = this.#fresh.filter((waiter) => this.#waiters.get(waiter.seq) === waiter)
    // A proposal added by one of these callbacks has set the timer itself.
    if (next < this.#timerAt) this.#arm(next)
  }

  #expire(waiter: Waiter): void {
    const { state, refusal } = waiter
    if (state !== 'idle') {
      this.#end(
        waiter,
        unknown('it was handed to the log, but no majority confirmed it before the time ran out'),
      )
    } else if (refusal?.reason === 'membership-pending') {
      this.#end(waiter, notWritten('membership_refused', refusal.detail))
    } else if (this.#heldBack && !this.#parked.has(waiter)) {
      this.#end(waiter, tooMuch)
    } else {
      const cause =
        refusal?.reason === 'transferring' ? 'leadership was being handed over' : 'no leader was found'
      this.#end(waiter, notWritten('no_leader', `${cause} until the time ran out; nothing was written`))
    }
  }

  #end(waiter: Waiter, end: ProposalEnd): void {
    if (!this.#waiters.delete(waiter.seq)) return
    this.#parked.delete(waiter)
    this.#bytes -= waiter.frame.length
    this.#size -= waiter.count
    this.#ended(waiter.seq, end, waiter.count)
    waiter.done(end)
  }
}

const notWritten = (code: Problem['code'], detail: string): ProposalEnd => ({
  ok: false,
  problem: { code, detail, written: 'no' },
})

const tooMuch = notWritten(
  'overloaded',
  'more changes were to be made than there was time for; nothing was written',
)

const unknown = (detail: string): ProposalEnd => ({
  ok: false,
  problem: { code: 'outcome_unknown', detail, written: 'unknown' },
})
