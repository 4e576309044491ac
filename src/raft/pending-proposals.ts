// Proposals without an outcome at their origin. The log determines the outcome, in every role. A committed entry with
// (replica, boot, seq) is the proposal. Once an entry of a newer term is committed without it, the proposal never will
// be: entries of one term are contiguous, and a leader appends a proposal only in the term that the proposal names.

import { readUint48, writeBigUint64, writeUint32 } from '../bytes/index.ts'
import type { Entry, Proposal, ProposalOutcome, ReplicaId, Term } from './types.ts'

const PROPOSER_AT = 36
const SEQ_AT = 48

interface PendingProposal {
  readonly term: Term
  readonly bytes: number
  /** The proposal itself, kept for resending. Undefined if this replica appended it as leader. */
  readonly forwarded: Proposal | undefined
}

/** Proposals of this process without an outcome. */
export class PendingProposals {
  /** Replica id and boot counter, encoded as in a frame. */
  readonly #self: Uint8Array
  /** Keyed by seq, in the order of proposing, so terms never decrease. */
  readonly #pending = new Map<number, PendingProposal>()
  /** Bytes of their frames. */
  bytes = 0
  #forwardedBytes = 0
  #forwardedTerm = 0 as Term
  #forwardedSeq = 0
  /** Term of the newest committed entry seen. */
  #committedTerm: Term

  constructor(self: ReplicaId, boot: number, committedTerm: Term) {
    this.#self = new Uint8Array(SEQ_AT - PROPOSER_AT)
    writeBigUint64(this.#self, 0, BigInt(self))
    writeUint32(this.#self, 8, boot)
    this.#committedTerm = committedTerm
  }

  get size(): number {
    return this.#pending.size
  }

  get forwardedBytes(): number {
    return this.#forwardedBytes
  }

  has(seq: number): boolean {
    return this.#pending.has(seq)
  }

  appended({ seq, frame: { length: bytes } }: Proposal, term: Term): void {
    this.#pending.set(seq, { term, bytes, forwarded: undefined })
    this.bytes += bytes
  }

  /** Whether `seq` may be sent to the leader of `term`, which accepts each seq once. */
  mayForward(seq: number, term: Term): boolean {
    return term > this.#forwardedTerm || seq > this.#forwardedSeq
  }

  forwarded(proposal: Proposal, term: Term): void {
    const bytes = proposal.frame.length
    this.#pending.set(proposal.seq, { term, bytes, forwarded: proposal })
    this.bytes += bytes
    this.#forwardedBytes += bytes
    this.#forwardedTerm = term
    this.#forwardedSeq = proposal.seq
  }

  /** Proposals to resend to the leader of `term` after a broken connection. */
  forwardedInTerm(term: Term): Proposal[] {
    const again: Proposal[] = []
    for (const { term: meantFor, forwarded } of this.#pending.values()) {
      if (meantFor === term && forwarded !== undefined) again.push(forwarded)
    }
    return again
  }

  /** Records that the leader of `term` refused `seq`. Returns whether it had no outcome yet. */
  refused(seq: number, term: Term): boolean {
    const pending = this.#pending.get(seq)
    if (pending?.forwarded === undefined || pending.term !== term) return false
    this.#resolve(seq, pending)
    return true
  }

  /** Adds the outcomes that these committed entries determine. Called in the order of the log. */
  committed(entries: readonly Entry[], into: ProposalOutcome[]): void {
    for (const { index, term, frame } of entries) {
      if (term !== this.#committedTerm) {
        this.#committedTerm = term
        this.#supersede(term, into)
      }
      if (this.#pending.size === 0 || !this.#isOwn(frame)) continue
      const seq = readUint48(frame, SEQ_AT)
      const pending = this.#pending.get(seq)
      if (pending?.term !== term) continue
      this.#resolve(seq, pending)
      into.push({ seq, outcome: 'committed', index })
    }
  }

  /** Adds unknown outcomes after a snapshot whose last entry is of `term`. The proposals may be in it or not. */
  hidden(term: Term, into: ProposalOutcome[]): void {
    this.#committedTerm = term
    for (const [seq, pending] of this.#pending) {
      if (pending.term > term) return
      this.#resolve(seq, pending)
      into.push({ seq, outcome: 'unknown' })
    }
  }

  #supersede(term: Term, into: ProposalOutcome[]): void {
    for (const [seq, pending] of this.#pending) {
      if (pending.term >= term) return
      this.#resolve(seq, pending)
      into.push({ seq, outcome: 'superseded' })
    }
  }

  #resolve(seq: number, { bytes, forwarded }: PendingProposal): void {
    this.#pending.delete(seq)
    this.bytes -= bytes
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
