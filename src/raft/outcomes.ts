// The outcome of a proposal, for the process that made it and for the leader that received it.
//
// At the origin the log decides, in every role. A committed entry that carries (replica, boot, seq) is the proposal. If
// an entry of a newer term is committed and the proposal was not, it never will be: entries of one term form one run of
// the log, and a proposal is only appended in the term that it is meant for.
//
// A leader accepts each seq once. When a seq arrives again, forwarded after a broken connection or doubled by the
// network, it is not appended a second time. If it was refused, it is refused again, because the first answer may have
// been lost with the connection. So "refused" stays true whatever copies are still under way. A replica that led the
// term and no longer leads can still refuse a seq that it has never received. A replica that does not know sends no
// answer; the origin learns the outcome from the log.

import { readUint48, writeBigUint64, writeUint32 } from '../bytes/index.ts'
import type { Entry, Proposal, ProposalOutcome, Refusal, ReplicaId, Term } from './types.ts'

const PROPOSER_AT = 36
const SEQ_AT = 48

interface Waiting {
  readonly term: Term
  readonly bytes: number
  /** Kept as long as it may have to be forwarded again. */
  readonly forwarded: Proposal | undefined
}

/** Proposals of this process whose outcome is open. */
export class Outcomes {
  /** Replica id and boot counter, as bytes in a frame. */
  readonly #self: Uint8Array
  /** By seq, in the order of proposing, so terms never decrease. */
  readonly #waiting = new Map<number, Waiting>()
  #bytes = 0
  #forwardedBytes = 0
  #forwardedTerm = 0 as Term
  #forwardedSeq = 0
  /** Term of the newest entry handed out. */
  #handedTerm: Term

  constructor(self: ReplicaId, boot: number, handedTerm: Term) {
    this.#self = new Uint8Array(SEQ_AT - PROPOSER_AT)
    writeBigUint64(this.#self, 0, BigInt(self))
    writeUint32(this.#self, 8, boot)
    this.#handedTerm = handedTerm
  }

  get size(): number {
    return this.#waiting.size
  }
  /** Bytes of their frames. */
  get bytes(): number {
    return this.#bytes
  }
  get forwardedBytes(): number {
    return this.#forwardedBytes
  }

  has(seq: number): boolean {
    return this.#waiting.has(seq)
  }

  appended({ seq, frame: { length: bytes } }: Proposal, term: Term): void {
    this.#waiting.set(seq, { term, bytes, forwarded: undefined })
    this.#bytes += bytes
  }

  /** Whether `seq` may still be sent to the leader of `term`, which accepts a seq once. */
  mayForward(seq: number, term: Term): boolean {
    return term > this.#forwardedTerm || seq > this.#forwardedSeq
  }

  forwarded(proposal: Proposal, term: Term): void {
    const bytes = proposal.frame.length
    this.#waiting.set(proposal.seq, { term, bytes, forwarded: proposal })
    this.#bytes += bytes
    this.#forwardedBytes += bytes
    this.#forwardedTerm = term
    this.#forwardedSeq = proposal.seq
  }

  /** The proposals to forward again to the leader of `term` after a broken connection. */
  toForwardAgain(term: Term): Proposal[] {
    const again: Proposal[] = []
    for (const { term: meantFor, forwarded } of this.#waiting.values()) {
      if (meantFor === term && forwarded !== undefined) again.push(forwarded)
    }
    return again
  }

  /** The leader of `term` will never append it. Returns whether the outcome was still open. */
  refused(seq: number, term: Term): boolean {
    const waiting = this.#waiting.get(seq)
    if (waiting?.forwarded === undefined || waiting.term !== term) return false
    this.#resolve(seq, waiting)
    return true
  }

  /** Takes committed entries in the order of the log. */
  handedOut(entries: readonly Entry[], into: ProposalOutcome[]): void {
    for (const { index, term, frame } of entries) {
      if (term !== this.#handedTerm) {
        this.#handedTerm = term
        this.#supersede(term, into)
      }
      if (this.#waiting.size === 0 || !this.#isOwn(frame)) continue
      const seq = readUint48(frame, SEQ_AT)
      const waiting = this.#waiting.get(seq)
      if (waiting?.term !== term) continue
      this.#resolve(seq, waiting)
      into.push({ seq, outcome: 'committed', index })
    }
  }

  /**
   * A snapshot whose last entry is of `term` replaced entries that were not handed out. The proposals may be in it or
   * not.
   */
  hidden(term: Term, into: ProposalOutcome[]): void {
    this.#handedTerm = term
    for (const [seq, waiting] of this.#waiting) {
      if (waiting.term > term) return
      this.#resolve(seq, waiting)
      into.push({ seq, outcome: 'unknown' })
    }
  }

  #supersede(term: Term, into: ProposalOutcome[]): void {
    for (const [seq, waiting] of this.#waiting) {
      if (waiting.term >= term) return
      this.#resolve(seq, waiting)
      into.push({ seq, outcome: 'superseded' })
    }
  }

  #resolve(seq: number, { bytes, forwarded }: Waiting): void {
    this.#waiting.delete(seq)
    this.#bytes -= bytes
    if (forwarded !== undefined) this.#forwardedBytes -= bytes
  }

  /** Compares from the end, because the boot counter and the low bytes of the id differ first. */
  #isOwn(frame: Uint8Array): boolean {
    for (let at = this.#self.length - 1; at >= 0; at--) {
      if (frame[PROPOSER_AT + at] !== this.#self[at]) return false
    }
    return true
  }
}

/** What was received from one process: its newest seq, and the last refusals. */
interface Heard {
  readonly boot: number
  seq: number
  readonly refused: Map<number, Refusal>
}

/**
 * The seqs that the leader of one term has received, by origin. Kept after that term, so that late copies get the right
 * answer.
 */
export class ForwardedSeqs {
  readonly term: Term
  readonly #refusedMax: number
  readonly #heard = new Map<ReplicaId, Heard>()

  /** `refusedMax`: how many proposals one origin can have forwarded without an answer. */
  constructor(term: Term, refusedMax: number) {
    this.term = term
    this.#refusedMax = refusedMax
  }

  /** Whether `seq` of that process was never received. */
  isNew(origin: ReplicaId, boot: number, seq: number): boolean {
    const heard = this.#heard.get(origin)
    if (heard === undefined || boot > heard.boot) return true
    return boot === heard.boot && seq > heard.seq
  }

  /** Records a new seq. `refusal`: why it is not appended and never will be. */
  heard(origin: ReplicaId, boot: number, seq: number, refusal: Refusal | undefined): void {
    let heard = this.#heard.get(origin)
    if (heard?.boot !== boot) {
      heard = { boot, seq, refused: new Map() }
      this.#heard.set(origin, heard)
    }
    heard.seq = seq
    if (refusal === undefined) return
    heard.refused.set(seq, refusal)
    const [oldest] = heard.refused.keys()
    if (heard.refused.size > this.#refusedMax && oldest !== undefined) heard.refused.delete(oldest)
  }

  /** Why the seq was refused when it was received. */
  refusal(origin: ReplicaId, boot: number, seq: number): Refusal | undefined {
    const heard = this.#heard.get(origin)
    return heard?.boot === boot ? heard.refused.get(seq) : undefined
  }
}
