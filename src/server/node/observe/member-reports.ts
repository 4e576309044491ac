// Reports of one member for a client of another: its status, and its metrics. They are bytes here: who serves clients
// writes and reads them.

import type { ReplicaId } from '../../../raft/types.ts'
import type { Clock } from '../clock.ts'
import type { ReportSource } from '../driver-options.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { Members } from '../membership/members.ts'
import { type NoAnswer, PeerRequests } from '../membership/peer-requests.ts'
import type { PeerSender } from '../membership/peer-sender.ts'
import type { ReportAnswer, ReportKind, ReportRequest } from '../network.ts'
import type { Problem, Result } from '../result.ts'

interface MemberReportsOptions {
  readonly clock: Clock
  readonly limits: Pick<DriverLimits, 'reportsMax' | 'reportBytesMax'>
  readonly lifecycle: Pick<Lifecycle, 'end'>
  readonly members: Pick<Members, 'findName'>
  readonly peers: Pick<PeerSender, 'requestReport' | 'answerReport'>
  /** undefined: this node reports nothing. */
  readonly source: ReportSource | undefined
  /** Which process of this node it is, counted. */
  readonly boot: number
}

type ReportDone = (result: Result<Uint8Array>) => void

export class MemberReports {
  readonly #options: MemberReportsOptions
  readonly #requests: PeerRequests<Uint8Array | undefined>
  /** Number of requests without an answer, by the member that they wait for. */
  readonly #waiting = new Map<ReplicaId, number>()
  /** Reports of this node that are being made. */
  #making = 0

  constructor(options: MemberReportsOptions) {
    this.#options = options
    this.#requests = new PeerRequests(options.clock, options.boot)
  }

  inspect(): Readonly<Record<string, number>> {
    return { waiting: this.#requests.size, making: this.#making }
  }

  /** Requests a report of another member. `done` is called once, never within this call. */
  request(member: ReplicaId, kind: ReportKind, timeoutMs: number, done: ReportDone): void {
    const refusal = this.#refusal(member)
    if (refusal !== undefined) {
      this.#options.clock.soon(() => done({ ok: false, problem: refusal }))
      return
    }
    this.#waiting.set(member, (this.#waiting.get(member) ?? 0) + 1)
    const end: ReportDone = (result) => {
      this.#forget(member)
      done(result)
    }
    const number = this.#requests.add(
      member,
      timeoutMs,
      (report) =>
        end(
          report === undefined ? this.#unanswered(member, 'cannot report now') : { ok: true, value: report },
        ),
      (why) => end(this.#unanswered(member, NO_ANSWER[why](timeoutMs))),
    )
    if (this.#options.peers.requestReport(member, { number, kind })) return
    this.#options.clock.soon(() => this.#requests.lost(number))
  }

  /** Another member requests a report of this node. */
  requested(from: ReplicaId, { number, kind }: ReportRequest): void {
    const { limits, peers, source } = this.#options
    const answer = (report: Uint8Array | undefined): void => peers.answerReport(from, { number, report })
    // The others send no more, but what they have sent to a process that was stopped arrives all at once.
    if (source === undefined || this.#making >= limits.reportsMax) {
      answer(undefined)
      return
    }
    this.#making++
    source(kind, (report) => {
      this.#making--
      answer(report !== undefined && report.length <= limits.reportBytesMax ? report : undefined)
    })
  }

  answered(from: ReplicaId, { number, report }: ReportAnswer): void {
    this.#requests.answered(from, number, report)
  }

  disconnected(peer: ReplicaId): void {
    this.#requests.end((member) => member === peer)
  }

  /** The node ends. */
  stop(): void {
    this.#requests.end(() => true)
  }

  #refusal(member: ReplicaId): Problem | undefined {
    const { lifecycle, limits } = this.#options
    if (lifecycle.end !== undefined) return notReady(lifecycle.end.reason)
    if ((this.#waiting.get(member) ?? 0) < limits.reportsMax) return undefined
    const detail = `${limits.reportsMax} requests wait for ${this.#findName(member)} on this node already`
    return { code: 'overloaded', detail, written: 'no' }
  }

  #unanswered(member: ReplicaId, what: string): Result<never> {
    return { ok: false, problem: notReady(`${this.#findName(member)} ${what}`) }
  }

  #findName(member: ReplicaId): string {
    return this.#options.members.findName(member) ?? `replica ${member}`
  }

  #forget(member: ReplicaId): void {
    const waiting = (this.#waiting.get(member) ?? 0) - 1
    if (waiting > 0) this.#waiting.set(member, waiting)
    else this.#waiting.delete(member)
  }
}

const NO_ANSWER: Readonly<Record<NoAnswer, (timeoutMs: number) => string>> = {
  late: (timeoutMs) => `has not answered within ${Math.round(timeoutMs)} ms`,
  lost: () => 'is not connected with this node',
}

const notReady = (detail: string): Problem => ({ code: 'not_ready', detail, written: 'no' })
