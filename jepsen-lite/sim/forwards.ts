// What is forwarded reaches the leader of its term in order, and nothing before what was lost: the leader hears of no
// earlier proposal of a process after a later one, so one that is overtaken by the next is skipped without a word, and
// whoever waits for it waits in vain. Holds where connections keep the order, and lose nothing but their end.

import type { Message } from '../../src/raft/index.ts'
import { Violation } from './violation.ts'

/** As much as is asked of a process. */
interface Process {
  readonly name: string
  readonly role: string
  readonly term: number
}

/** Of one process, in one term: what it has sent, in order, and up to where the leader has heard of it. */
interface Forwarded {
  readonly term: number
  readonly seqs: number[]
  heard: number
}

export class Forwards {
  readonly #sent = new Map<Process, Forwarded>()
  /** Who installs a snapshot, and has forwarded since that began. */
  readonly #installing = new Set<Process>()

  /** `installs`: a snapshot, now; what it had forwarded before may be in that, and it waits for none of it any more. */
  left(from: Process, message: Message, installs: boolean): void {
    if (message.type !== 'forward') return
    if (installs && !this.#installing.has(from)) {
      this.#installing.add(from)
      this.#waitsForNone(from)
    }
    const before = this.#sent.get(from)
    const forwarded =
      before?.term === message.term ? before : { term: message.term, seqs: [] as number[], heard: -1 }
    this.#sent.set(from, forwarded)
    for (const { seq } of message.proposals) if (seq > (forwarded.seqs.at(-1) ?? -1)) forwarded.seqs.push(seq)
  }

  /** It sends again what it still waits for: what it has found another answer for, or none ever, is not missed. */
  reconnects(from: Process): void {
    this.#waitsForNone(from)
  }

  installed(from: Process): void {
    if (!this.#installing.delete(from)) this.#waitsForNone(from)
  }

  #waitsForNone(from: Process): void {
    const forwarded = this.#sent.get(from)
    if (forwarded !== undefined) forwarded.seqs.length = forwarded.heard + 1
  }

  arrives(from: Process | undefined, to: Process, message: Message): Violation | undefined {
    if (message.type !== 'forward' || from === undefined) return undefined
    const forwarded = this.#sent.get(from)
    if (forwarded?.term !== message.term || to.role !== 'leader' || to.term !== message.term) return undefined
    for (const { seq } of message.proposals) {
      const at = forwarded.seqs.indexOf(seq)
      if (at > forwarded.heard + 1) {
        const missed = forwarded.seqs[forwarded.heard + 1]
        return new Violation(
          'NODE-14',
          `${to.name} hears of proposal ${seq} of ${from.name} and has not heard of ${missed}, which it will take for an old one`,
        )
      }
      forwarded.heard = Math.max(forwarded.heard, at)
    }
    return undefined
  }
}
