// The way of a change from a client's request to the consensus core: coalesced with others, sealed as an entry, and
// proposed together with all changes of one turn of the event loop.

import { crc32 } from 'node:zlib'
import type { Span } from '@opentelemetry/api'
import { encodeRequest, type Request, requestKind, writesVersions } from '../../../kv/index.ts'
import { BODY_AT, newFrame, type Proposal, type Raft, readHeader, sealFrame } from '../../../raft/index.ts'
import type { NodeClock, Timer } from '../clock.ts'
import type { DriverObserver } from '../driver-options.ts'
import type { EntryTraces } from '../entry-traces.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { Members } from '../membership/members.ts'
import type { StateWaiters } from '../membership/state-waiters.ts'
import type { NodeEvents } from '../node-events.ts'
import type { CommandResult, Problem } from '../result.ts'
import { BatchDelay } from './batch-delay.ts'
import { commandDigest } from './command-digest.ts'
import { type ProposalEnd, ProposalTracker, type ProposalTrackerEvents } from './proposal-tracker.ts'
import { isPlain, WriteCoalescer } from './write-coalescer.ts'

/** The latest time that an entry can have. */
const TIME_MS_MAX = 2 ** 48 - 1

interface ProposerOptions {
  readonly clock: NodeClock
  readonly limits: DriverLimits
  readonly boot: number
  readonly raft: Pick<Raft, 'id' | 'leader' | 'proposedBytes'>
  readonly lifecycle: Pick<Lifecycle, 'end' | 'isDraining'>
  readonly waits: Pick<StateWaiters, 'check'>
  readonly observer: Pick<DriverObserver, 'proposalEnded'>
  readonly traces: Pick<EntryTraces, 'isEmpty' | 'proposed' | 'renewed' | 'failed'>
  readonly members: {
    readonly configuration: Pick<Members['configuration'], 'members'>
    readonly versions: Pick<Members['versions'], 'refusal' | 'has'>
  }
  readonly events: Pick<NodeEvents, 'step' | 'wake'>
}

export class Proposer implements ProposalTrackerEvents {
  readonly #options: ProposerOptions
  readonly #coalescer: WriteCoalescer
  readonly #delay: BatchDelay
  #delayTimer: Timer | undefined
  #nextSeq = 1
  readonly tracker: ProposalTracker

  constructor(options: ProposerOptions) {
    this.#options = options
    const { clock, limits } = options
    this.#coalescer = new WriteCoalescer(clock, (...change) => this.#proposeRequest(...change))
    this.#delay = new BatchDelay(clock, limits)
    this.tracker = new ProposalTracker(clock, limits, this)
  }

  /** Number of callers that wait for a change. */
  get size(): number {
    return this.tracker.size + this.#coalescer.size
  }

  /** The numbers for the driver's `inspect`. */
  inspect(): { readonly gathered: number; readonly batchDelayTimer: number } {
    return { gathered: this.#coalescer.size, batchDelayTimer: Number(this.#delayTimer !== undefined) }
  }

  /** Whether proposals were held back that may be proposed now. */
  get canContinue(): boolean {
    return this.tracker.isHeldBack && this.#proposableBytes > 0
  }

  propose(
    request: Request,
    timeoutMs: number,
    done: (result: CommandResult) => void,
    span: Span | undefined = undefined,
  ): void {
    const { configuration, versions } = this.#options.members
    const problem =
      versions.refusal(request, configuration.members) ??
      this.#refusal(this.#coalescer.bytes, this.#coalescer.size + 1)
    if (problem !== undefined) {
      this.#options.clock.soon(() => done({ ok: false, problem }))
      return
    }
    if (isPlain(request)) this.#coalescer.add(request, timeoutMs, done, span)
    else {
      // Proposals keep the order of their arrival.
      if (this.#coalescer.size > 0) this.#coalescer.flush()
      this.#proposeRequest(request, timeoutMs, 1, done, span)
    }
    this.#options.events.wake()
  }

  /** Proposes an entry of the core. */
  proposeCoreEntry(
    kind: number,
    body: Uint8Array,
    timeoutMs: number,
    done: (end: ProposalEnd) => void,
  ): void {
    const seq = this.#nextSeq++
    const frame = this.#newFrame(seq, kind, 1, body)
    this.#seal(seq, frame, timeoutMs, done)
    this.#options.events.wake()
  }

  /** Proposes what is queued, or waits for more. */
  proposeQueued(): void {
    const { isHeldBack, queued, size } = this.tracker
    const coalesced = this.#coalescer.size
    if (queued + coalesced === 0) return
    // Proposals that were held back have waited long enough, and others have joined them.
    const delayMs = isHeldBack ? 0 : this.#delay.leftMs(queued + coalesced, size + coalesced)
    if (delayMs > 0) {
      this.#delayTimer ??= this.#options.clock.after(delayMs, () => {
        this.#delayTimer = undefined
        if (this.#options.lifecycle.end === undefined) this.proposeQueued()
      })
      return
    }
    this.#delayTimer?.cancel()
    this.#delayTimer = undefined
    if (coalesced > 0) this.#coalescer.flush()
    const proposals = this.tracker.nextBatch(this.#proposableBytes)
    const first = proposals[0]
    if (first === undefined) return
    this.#delay.proposed(first.seq)
    const { clock, events } = this.#options
    events.step({ kind: 'propose', now: clock.now(), proposals })
  }

  /** Answers every caller, because the node ends. */
  endAll(reason: string): void {
    this.#coalescer.endAll({ code: 'not_ready', detail: reason, written: 'no' })
    this.tracker.endAll(reason)
  }

  /**
   * Bytes that may be proposed now. Answers to the heartbeats of a leader elsewhere use the same connection, and must
   * not wait long. And a proposal that waits in the log beyond what is sent ahead of a follower's answers would have no
   * known outcome when its time runs out.
   */
  get #proposableBytes(): number {
    const { leader, proposedBytes } = this.#options.raft
    // Without a leader the core refuses it, and the client learns why.
    if (leader === undefined) return Number.POSITIVE_INFINITY
    return this.#options.limits.proposedBytesMax - proposedBytes
  }

  #newFrame(seq: number, kind: number, version: number, body: Uint8Array): Uint8Array {
    const { raft, boot } = this.#options
    const frame = newFrame({ kind, version, proposer: raft.id, boot, seq }, body.length)
    frame.set(body, BODY_AT)
    return frame
  }

  /** Seals the same payload under a new seq, to propose again what was certainly not appended. */
  renew(frame: Uint8Array): Proposal {
    const seq = this.#nextSeq++
    const { kind, version, seq: before } = readHeader(frame)
    const { traces } = this.#options
    if (!traces.isEmpty) traces.renewed(before, seq)
    const renewed = this.#newFrame(seq, kind, version, frame.subarray(BODY_AT))
    return { seq, frame: sealFrame(renewed, crc32) }
  }

  ended(seq: number, end: ProposalEnd, count: number): void {
    const { clock, lifecycle, observer, traces, waits } = this.#options
    this.#delay.ended(seq)
    if (!end.ok && !traces.isEmpty) traces.failed(seq, end.problem.code)
    if (lifecycle.isDraining) clock.soon(() => waits.check())
    observer.proposalEnded(end.ok ? 'committed' : end.problem.written === 'no' ? 'refused' : 'unknown', count)
  }

  #proposeRequest(
    request: Request,
    timeoutMs: number,
    count: number,
    done: (result: CommandResult) => void,
    span: Span | undefined,
  ): void {
    const seq = this.#nextSeq++
    const { kind, version } = requestKind(request)
    const frame = this.#newFrame(seq, kind, version, encodeRequest(this.#stamped(request), commandDigest))
    const respond = (end: ProposalEnd): void => {
      if (end.ok && end.value === undefined) throw new Error('a command was committed without a result')
      done(end)
    }
    this.#seal(seq, frame, timeoutMs, respond, count)
    if (span !== undefined) this.#options.traces.proposed(seq, span)
  }

  /** A change of keys has the time at which this node took it, once all members know such entries. */
  #stamped(request: Request): Request {
    const { clock, members } = this.#options
    if (!writesVersions(request.command) || !members.versions.has('changeTimes')) return request
    const timeMs = Math.min(Math.max(0, Math.floor(clock.wallTimeMs())), TIME_MS_MAX)
    return { ...request, timeMs }
  }

  /** Seals the frame and queues it. `count`: the callers that wait for it. */
  #seal(
    seq: number,
    frame: Uint8Array,
    timeoutMs: number,
    done: (end: ProposalEnd) => void,
    count = 1,
  ): void {
    const problem = this.#refusal(frame.length, count)
    if (problem === undefined) this.tracker.add(seq, sealFrame(frame, crc32), timeoutMs, done, count)
    else this.#options.clock.soon(() => done({ ok: false, problem }))
  }

  /** Why nothing of so many bytes and callers can be proposed now. */
  #refusal(bytes: number, count: number): Problem | undefined {
    const { end } = this.#options.lifecycle
    if (end === undefined) return this.tracker.overload(bytes, count)
    return { code: 'not_ready', detail: end.reason, written: 'no' }
  }
}
