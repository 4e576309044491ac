// Facts about the other replicas, kept in every role: the highest term seen from each, its newest process, and whether
// it is connected.
//
// A process that starts with less state than its replica has shown before has lost durable state (RAFT-19). It receives
// lost-state messages only, and its own messages are ignored.

import type { LogIndex, ReplicaId, Term } from './types.ts'

/** Durable state of a process when it connects: boot counter, term, and end of the log. */
interface ConnectedProcess {
  readonly boot: number
  readonly term: Term
  readonly lastIndex: LogIndex
}

/** State to compare it with: this replica's term and, on a leader, the match index of the peer in this term. */
interface ExpectedProcess {
  readonly name: string
  readonly term: Term
  readonly match: LogIndex
}

export class Peers {
  readonly #termsSeen = new Map<ReplicaId, Term>()
  readonly #boots = new Map<ReplicaId, number>()
  readonly #lostState = new Map<ReplicaId, string>()
  readonly #disconnected = new Set<ReplicaId>()

  /** Records a connection. Returns whether the process differs from the last one that connected. */
  connected(id: ReplicaId, newest: ConnectedProcess, expected: ExpectedProcess): boolean {
    const known = this.#boots.get(id)
    if (known === undefined || newest.boot > known) {
      this.#boots.set(id, newest.boot)
      const lost = this.#stateLoss(id, newest, expected)
      if (lost === undefined) this.#lostState.delete(id)
      else this.#lostState.set(id, lost)
    }
    this.#disconnected.delete(id)
    if (!this.#lostState.has(id)) this.sawTerm(id, newest.term)
    return newest.boot !== known
  }

  disconnected(id: ReplicaId): void {
    this.#disconnected.add(id)
  }

  /** Whether the connection broke and is not re-established, so that messages are lost. */
  isDisconnected(id: ReplicaId): boolean {
    return this.#disconnected.has(id)
  }

  /** Records the term of a message. Not called for pre-votes, because their terms need not be durable. */
  sawTerm(id: ReplicaId, term: Term): void {
    if (term > (this.#termsSeen.get(id) ?? 0)) this.#termsSeen.set(id, term)
  }

  /** Description of the state that the newest process has lost; undefined if no loss is known. */
  lostState(id: ReplicaId): string | undefined {
    return this.#lostState.get(id)
  }

  #stateLoss(
    id: ReplicaId,
    { term, lastIndex }: ConnectedProcess,
    expected: ExpectedProcess,
  ): string | undefined {
    const { name, match } = expected
    const seen = this.#termsSeen.get(id) ?? 0
    if (term < seen)
      return `${name} has lost durable state: it was seen in term ${seen}, but now starts in term ${term}`
    if (term === expected.term && lastIndex < match)
      return (
        `${name} has lost durable state: it acknowledged entry ${match} in term ${term}, ` +
        `but its log now ends at ${lastIndex}`
      )
    return undefined
  }
}
