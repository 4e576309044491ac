// What a replica knows of the others, whoever leads: the highest term heard from each, its newest process, and whether
// a connection to it stands.
//
// A process that begins with less than was seen of its replica has lost durable state (RAFT-19). It is told so, and is
// neither heard nor sent anything else.

import type { LogIndex, ReplicaId, Term } from './types.ts'

/** A process at the moment of its connection: its boot counter, its durable term, and the end of its log. */
export interface ConnectedProcess {
  readonly boot: number
  readonly term: Term
  readonly lastIndex: LogIndex
}

/** What this replica knows beside that: its own term and, if it leads, what the other one acknowledged in this term. */
export interface Expected {
  readonly name: string
  readonly term: Term
  readonly match: LogIndex
}

export class Peers {
  readonly #termsHeard = new Map<ReplicaId, Term>()
  readonly #boots = new Map<ReplicaId, number>()
  readonly #lostState = new Map<ReplicaId, string>()
  readonly #disconnected = new Set<ReplicaId>()

  /** Whether it is another process than the last one that connected. */
  connected(id: ReplicaId, newest: ConnectedProcess, expected: Expected): boolean {
    const known = this.#boots.get(id)
    if (known === undefined || newest.boot > known) {
      this.#boots.set(id, newest.boot)
      const lost = this.#whatItLost(id, newest, expected)
      if (lost === undefined) this.#lostState.delete(id)
      else this.#lostState.set(id, lost)
    }
    this.#disconnected.delete(id)
    if (!this.#lostState.has(id)) this.heard(id, newest.term)
    return newest.boot !== known
  }

  disconnected(id: ReplicaId): void {
    this.#disconnected.add(id)
  }

  /** Whether what is sent to it is lost, since its connection broke and does not stand again. */
  isDisconnected(id: ReplicaId): boolean {
    return this.#disconnected.has(id)
  }

  /** It sent a message of this term. Not for pre-votes, whose terms need not be durable. */
  heard(id: ReplicaId, term: Term): void {
    if (term > (this.#termsHeard.get(id) ?? 0)) this.#termsHeard.set(id, term)
  }

  /** What its newest process has lost, in words; undefined if nothing is known to be lost. */
  lostState(id: ReplicaId): string | undefined {
    return this.#lostState.get(id)
  }

  #whatItLost(id: ReplicaId, { term, lastIndex }: ConnectedProcess, expected: Expected): string | undefined {
    const { name, match } = expected
    const heard = this.#termsHeard.get(id) ?? 0
    if (term < heard)
      return `${name} has lost durable state: it was heard in term ${heard}, but now starts in term ${term}`
    if (term === expected.term && lastIndex < match)
      return (
        `${name} has lost durable state: it acknowledged entry ${match} in term ${term}, ` +
        `but its log now ends at ${lastIndex}`
      )
    return undefined
  }
}
