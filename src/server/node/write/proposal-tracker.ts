// The proposals of this node for which a caller waits, from the moment they are sealed until their outcome is known.
//
//             nextBatch()                committed                applied()
//   queued ────────────────► proposed ───────────────► committed ───────────► ended, with the result
//     ▲                        │  │
//     │ unpark(), unparkDue()  │  └─ refused for good, or unknown ──► ended, with a problem
//     └────────── parked ◄─────┘ refused for now, or superseded
//
// From every state a proposal ends when its time runs out, and with the node.
//
// Invariant: the answer "not written" is given only in the states `queued` and `parked`, when no log can hold the
// proposal, or when the core has refused it. All others end as `outcome_unknown`.

import type { ApplyResult } from '../../../kv/index.ts'
import {
  assertNever,
  type InFlightCounts,
  type LogIndex,
  type MonotonicMs,
  type Proposal,
  type ProposalOutcome,
  type Refusal,
} from '../../../raft/index.ts'
import type { Clock, Timer } from '../clock.ts'
import type { DriverLimits } from '../limits.ts'
import type { Problem, Result } from '../result.ts'
import { NumberMap } from './number-map.ts'

/** Limit on how often the pause before a retry is doubled. While leadership is transferred, each try is a message. */
const PAUSE_DOUBLINGS_MAX = 4

/** The end of a proposal. A committed one of a command has the result of apply. */
export type ProposalEnd = Result<ApplyResult> | typeof CORE_ENTRY_APPLIED

/** The end of a committed entry of the core. */
const CORE_ENTRY_APPLIED = { ok: true, value: undefined } as const

interface TrackedProposal {
  seq: number
  /** Number of callers that wait for it. */
  readonly count: number
  frame: Uint8Array
  state: 'queued' | 'proposed' | 'parked' | 'committed' | 'ended'
  /** Why the core refused it last. */
  refusal: Refusal | undefined
  /** How often it was retried only because time had passed. */
  retries: number
  /** End of its pause while it is parked. */
  retryAt: MonotonicMs
  readonly deadline: MonotonicMs
  /**
   * A proposal that was held back is not proposed after this time. Half of its time must remain for the rest, or its
   * outcome would not be known in time.
   */
  readonly proposeBy: MonotonicMs
  readonly done: (end: ProposalEnd) => void
}

export interface ProposalTrackerEvents {
  /** Seals the payload of a frame again, under a new seq. */
  renew(frame: Uint8Array): Proposal
  /** Called for each proposal before its caller is answered. `count`: the number of its callers. */
  ended(seq: number, end: ProposalEnd, count: number): void
}

export class ProposalTracker {
  readonly #clock: Clock
  readonly #limits: DriverLimits
  readonly #events: ProposalTrackerEvents
  /** All proposals but ended ones, by seq. */
  readonly #pending = new NumberMap<TrackedProposal>()
  /** Committed proposals by index. */
  readonly #committed = new NumberMap<TrackedProposal>()
  /** Queued proposals, in the order of their arrival. Ended ones among them are skipped. */
  #queue: TrackedProposal[] = []
  /** Whether some queued proposals were not proposed, because there was no room. */
  isHeldBack = false
  readonly #parked = new Set<TrackedProposal>()
  #bytes = 0
  /** Number of callers that wait. */
  size = 0
  /** Number of callers whose proposals are queued. */
  queued = 0
  /** One timer for all proposals: very few of them expire. */
  #timer: Timer | undefined
  #timerAt: MonotonicMs = Number.POSITIVE_INFINITY

  constructor(clock: Clock, limits: DriverLimits, events: ProposalTrackerEvents) {
    this.#clock = clock
    this.#limits = limits
    this.#events = events
  }

  get hasParked(): boolean {
    return this.#parked.size > 0
  }

  /** Counts of the proposals in flight; all 0 at rest. */
  inspect(): InFlightCounts {
    return {
      waiting: this.size,
      bytes: this.#bytes,
      queued: this.#queue.length,
      parked: this.#parked.size,
      committed: this.#committed.size,
    }
  }

  /** Returns why a proposal of `bytes` for `count` callers is refused now; undefined: it is accepted. */
  overload(bytes: number, count = 1): Problem | undefined {
    const { proposalsMax, proposalBytesMax } = this.#limits
    if (this.size + count <= proposalsMax && this.#bytes + bytes <= proposalBytesMax) return undefined
    return {
      code: 'overloaded',
      detail: `${this.size} proposals (${this.#bytes} bytes) wait on this node already; limits: ${proposalsMax} and ${proposalBytesMax} bytes`,
      written: 'no',
    }
  }

  add(seq: number, frame: Uint8Array, timeoutMs: number, done: (end: ProposalEnd) => void, count = 1): void {
    const deadline = this.#clock.now() + timeoutMs
    const proposal: TrackedProposal = {
      seq,
      count,
      frame,
      state: 'queued',
      refusal: undefined,
      retries: 0,
      retryAt: 0,
      deadline,
      proposeBy: deadline - timeoutMs / 2,
      done,
    }
    this.#pending.set(seq, proposal)
    if (deadline < this.#timerAt) this.#arm(deadline)
    this.#bytes += frame.length
    this.size += count
    this.queued += count
    this.#queue.push(proposal)
  }

  /** Takes queued proposals for the core while `bytesMax` is not used up. The last one may exceed it. */
  nextBatch(bytesMax = Number.POSITIVE_INFINITY): Proposal[] {
    const batch: Proposal[] = []
    const now = this.#clock.now()
    let [at, last, bytes] = [0, 0, 0]
    for (const proposal of this.#queue) {
      if (bytes >= bytesMax) break
      at++
      if (proposal.state !== 'queued') continue
      if (this.isHeldBack && now > proposal.proposeBy) {
        this.#end(proposal, TOO_MUCH)
        continue
      }
      // A leader accepts no seq twice and none after a later one. And a leader that refused a frame may have stamped
      // it.
      if (proposal.refusal !== undefined || proposal.seq < last) this.#renumber(proposal)
      last = proposal.seq
      this.#setState(proposal, 'proposed')
      bytes += proposal.frame.length
      batch.push({ seq: proposal.seq, frame: proposal.frame })
    }
    this.#queue = this.#queue.slice(at)
    this.isHeldBack = this.#queue.length > 0
    return batch
  }

  /** Queues all parked proposals, because a leader is known again. */
  unpark(): void {
    for (const proposal of this.#parked) proposal.retries = 0
    this.#requeue([...this.#parked])
  }

  /** Queues the parked proposals whose pause is over. Each pause is longer than the one before. */
  unparkDue(): void {
    const now = this.#clock.now()
    const due = [...this.#parked].filter(({ retryAt }) => retryAt <= now)
    for (const proposal of due) proposal.retries++
    this.#requeue(due)
  }

  resolve(outcome: ProposalOutcome): void {
    const proposal = this.#pending.get(outcome.seq)
    // A proposal that has expired was answered as unknown.
    if (proposal?.state !== 'proposed') return
    switch (outcome.outcome) {
      case 'committed':
        proposal.state = 'committed'
        this.#committed.set(outcome.index, proposal)
        return
      case 'superseded':
        this.#park(proposal, { reason: 'not-leader' })
        return
      case 'unknown':
        this.#end(proposal, unknown('the entries that show its outcome were replaced by a snapshot'))
        return
      case 'refused':
        this.#refused(proposal, outcome.refusal)
        return
      default:
        assertNever(outcome)
    }
  }

  applied(index: LogIndex, result: ApplyResult | undefined): void {
    const proposal = this.#committed.get(index)
    if (proposal === undefined) return
    this.#committed.delete(index)
    this.#end(proposal, result === undefined ? CORE_ENTRY_APPLIED : { ok: true, value: result })
  }

  /** Ends the committed proposals up to `index`: a snapshot has replaced their entries, and with them the results. */
  skipped(index: LogIndex): void {
    for (const [at, proposal] of this.#committed.entries()) {
      if (at > index) continue
      this.#committed.delete(at)
      this.#end(proposal, unknown('it was committed, but a snapshot hid its result'))
    }
  }

  /** Answers every caller, because the node ends. */
  endAll(reason: string): void {
    this.#timer?.cancel()
    for (const proposal of this.#pending.values())
      this.#end(proposal, isInNoLog(proposal) ? notWritten('not_ready', reason) : unknown(reason))
  }

  #requeue(proposals: readonly TrackedProposal[]): void {
    for (const proposal of proposals) {
      this.#parked.delete(proposal)
      this.#setState(proposal, 'queued')
    }
    this.#queue = [...proposals, ...this.#queue]
  }

  #setState(proposal: TrackedProposal, state: TrackedProposal['state']): void {
    if (proposal.state === 'queued') this.queued -= proposal.count
    if (state === 'queued') this.queued += proposal.count
    proposal.state = state
  }

  #renumber(proposal: TrackedProposal): void {
    const { seq, frame } = this.#events.renew(proposal.frame)
    this.#pending.delete(proposal.seq)
    proposal.seq = seq
    proposal.frame = frame
    this.#pending.set(seq, proposal)
  }

  #refused(proposal: TrackedProposal, refusal: Refusal): void {
    switch (refusal.reason) {
      case 'no-leader':
      case 'not-leader':
      case 'transferring':
      case 'membership-pending':
        this.#park(proposal, refusal)
        return
      case 'overloaded':
        this.#end(proposal, notWritten('overloaded', refusal.detail))
        return
      case 'disk-full':
        this.#end(proposal, notWritten('storage_full', `${refusal.detail}; deletes are still accepted`))
        return
      case 'too-large':
        this.#end(proposal, notWritten('request_too_large', refusal.detail))
        return
      case 'membership':
        this.#end(proposal, notWritten('membership_refused', refusal.detail))
        return
      default:
        assertNever(refusal)
    }
  }

  #park(proposal: TrackedProposal, refusal: Refusal): void {
    proposal.state = 'parked'
    proposal.refusal = refusal
    const pauseMs = this.#limits.retryMs * 2 ** Math.min(proposal.retries, PAUSE_DOUBLINGS_MAX)
    proposal.retryAt = this.#clock.now() + pauseMs
    this.#parked.add(proposal)
  }

  #arm(at: MonotonicMs): void {
    this.#timer?.cancel()
    this.#timerAt = at
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => this.#expireDue())
  }

  #expireDue(): void {
    const now = this.#clock.now()
    const due: TrackedProposal[] = []
    let next = Number.POSITIVE_INFINITY
    // When many proposals expire one after another, this runs for nearly each of them, and checks all others.
    for (const proposal of this.#pending.values())
      if (proposal.deadline <= now) due.push(proposal)
      else next = Math.min(next, proposal.deadline)
    this.#timerAt = Number.POSITIVE_INFINITY
    for (const proposal of due.sort((a, b) => a.seq - b.seq)) this.#expire(proposal)
    // Expired ones are removed here, because `nextBatch` may not run for a long time.
    this.#queue = this.#queue.filter(({ state }) => state === 'queued')
    // A proposal added by one of these callbacks has set the timer itself.
    if (next < this.#timerAt) this.#arm(next)
  }

  #expire(proposal: TrackedProposal): void {
    const { state, refusal } = proposal
    if (!isInNoLog(proposal)) {
      this.#end(
        proposal,
        unknown('it was handed to the log, but no majority confirmed it before the time ran out'),
      )
    } else if (refusal?.reason === 'membership-pending') {
      this.#end(proposal, notWritten('membership_refused', refusal.detail))
    } else if (this.isHeldBack && state === 'queued') {
      this.#end(proposal, TOO_MUCH)
    } else {
      const cause =
        refusal?.reason === 'transferring' ? 'leadership was being handed over' : 'no leader was found'
      this.#end(proposal, notWritten('no_leader', `${cause} until the time ran out; nothing was written`))
    }
  }

  #end(proposal: TrackedProposal, end: ProposalEnd): void {
    if (proposal.state === 'ended') return
    this.#setState(proposal, 'ended')
    this.#pending.delete(proposal.seq)
    this.#parked.delete(proposal)
    this.#bytes -= proposal.frame.length
    this.size -= proposal.count
    this.#events.ended(proposal.seq, end, proposal.count)
    proposal.done(end)
  }
}

/** Whether the proposal is certainly in no log. */
const isInNoLog = ({ state }: TrackedProposal): boolean => state === 'queued' || state === 'parked'

const notWritten = (code: Problem['code'], detail: string): ProposalEnd => ({
  ok: false,
  problem: { code, detail, written: 'no' },
})

const TOO_MUCH = notWritten(
  'overloaded',
  'more changes were to be made than there was time for; nothing was written',
)

const unknown = (detail: string): ProposalEnd => ({
  ok: false,
  problem: { code: 'outcome_unknown', detail, written: 'unknown' },
})
