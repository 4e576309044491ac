// What a replica knows about the others, in every role: the highest term heard from each, its newest process, and
// whether it is connected.
//
// A process that begins with less state than was seen of its replica has lost durable state (RAFT-19). It gets a
// message that says so, and no other. Its own messages are ignored.

import type { LogIndex, ReplicaId, Term } from './types.ts'

/** A process when it connects: its boot counter, its durable term, and the end of its log. */
export interface ConnectedProcess {
  readonly boot: number
  readonly term: Term
  readonly lastIndex: LogIndex
}

/**
 * What this replica compares that with: its own term and, if it leads, what the other one acknowledged in this term.
 */
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

  /** Whether this is another process than the last one that connected. */
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

  /** Whether messages to it are lost, because its connection broke and is not made again yet. */
  isDisconnected(id: ReplicaId): boolean {
    return this.#disconnected.has(id)
  }

  /** It sent a message of this term. Not called for pre-votes, because their terms need not be durable. */
  heard(id: ReplicaId, term: Term): void {
    if (term > (this.#termsHeard.get(id) ?? 0)) this.#termsHeard.set(id, term)
  }

  /** A sentence about what its newest process has lost; undefined if no loss is known. */
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
