// Forwarded proposals reach the leader of their term in order, and none arrives after a lost one. The leader accepts no
// earlier proposal of a process after a later one. So a proposal that is overtaken by the next one is skipped without
// an answer, and its client waits until its time is over. This rule applies where connections keep the order and lose
// only their end.

import type { Message, ReplicaId } from '../../../src/raft/index.ts'
import { RuleViolation } from '../oracle/violation.ts'

/** The part of a process that is needed here. */
interface Process {
  readonly name: string
  readonly role: string
  readonly term: number
}

/** For one process in one term: what it has sent, in order, and how far the leader has received it. */
interface ForwardedProposal {
  readonly term: number
  /** The leader of that term. */
  readonly to: ReplicaId
  readonly seqs: number[]
  newest: number
}

export class Forwards {
  readonly #sent = new Map<Process, ForwardedProposal>()
  /** Processes that are installing a snapshot, and have forwarded since it began. */
  readonly #installing = new Set<Process>()

  /**
   * `installs`: the process installs a snapshot now. Its earlier proposals may be in the snapshot, so it no longer
   * waits for them.
   */
  left(from: Process, message: Message, installs: boolean): void {
    if (message.type !== 'forward') return
    if (installs && !this.#installing.has(from)) {
      this.#installing.add(from)
      this.#waitsForNone(from)
    }
    const before = this.#sent.get(from)
    const forwarded =
      before?.term === message.term
        ? before
        : { term: message.term, to: message.to, seqs: [] as number[], newest: -1 }
    this.#sent.set(from, forwarded)
    for (const { seq } of message.proposals) if (seq > (forwarded.seqs.at(-1) ?? -1)) forwarded.seqs.push(seq)
  }

  /**
   * If that one is the leader, it forwards its open proposals again as soon as it knows that. Those that it has
   * answered otherwise are no longer expected.
   */
  reconnects(from: Process, to: ReplicaId): void {
    if (this.#sent.get(from)?.to === to) this.#waitsForNone(from)
  }

  installed(from: Process): void {
    if (!this.#installing.delete(from)) this.#waitsForNone(from)
  }

  #waitsForNone(from: Process): void {
    const forwarded = this.#sent.get(from)
    if (forwarded !== undefined) forwarded.seqs.length = forwarded.newest + 1
  }

  arrives(from: Process | undefined, to: Process, message: Message): RuleViolation | undefined {
    if (message.type !== 'forward' || from === undefined) return undefined
    const forwarded = this.#sent.get(from)
    if (forwarded?.term !== message.term || to.role !== 'leader' || to.term !== message.term) return undefined
    for (const { seq } of message.proposals) {
      const at = forwarded.seqs.indexOf(seq)
      if (at > forwarded.newest + 1) {
        const missed = forwarded.seqs[forwarded.newest + 1]
        return new RuleViolation(
          'NODE-14',
          `${to.name} receives proposal ${seq} of ${from.name} and has not received ${missed}, which it will take for an old one`,
        )
      }
      forwarded.newest = Math.max(forwarded.newest, at)
    }
    return undefined
  }
}
