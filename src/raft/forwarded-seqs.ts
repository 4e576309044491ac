// The forwarded proposals that a leader has received. It accepts each seq once. A seq may arrive again, resent after a
// broken connection or duplicated by the network. It is not appended a second time. A refused seq is refused again,
// because the first response may have been lost with the connection. So "refused" stays true despite copies in flight.
// A former leader of the term can still refuse a seq that it has never received. Any other replica sends no response,
// and the origin learns the outcome from its log.

import type { Refusal, ReplicaId, Term } from './types.ts'

/**
 * Most forwarded proposals of one origin without an outcome, and refusals that a leader remembers for it. Constant,
 * because the limits of the origin may be higher than those of its leader.
 */
export const FORWARDED_MAX = 50_000

/** Newest seq and last refusals of one process. */
interface ForwardOrigin {
  readonly boot: number
  seq: number
  readonly refused: Map<number, Refusal>
}

/**
 * Seqs that the leader of one term has received, by origin. Kept after that term, so that late copies are refused
 * correctly.
 */
export class ForwardedSeqs {
  readonly term: Term
  readonly #origins = new Map<ReplicaId, ForwardOrigin>()

  constructor(term: Term) {
    this.term = term
  }

  /** Whether `seq` of that process was never received. */
  isNew(id: ReplicaId, boot: number, seq: number): boolean {
    const origin = this.#origins.get(id)
    if (origin === undefined || boot > origin.boot) return true
    return boot === origin.boot && seq > origin.seq
  }

  /** Records a new seq. `refusal`: why it is not appended and never will be. */
  record(id: ReplicaId, boot: number, seq: number, refusal: Refusal | undefined): void {
    let origin = this.#origins.get(id)
    if (origin?.boot !== boot) {
      origin = { boot, seq, refused: new Map() }
      this.#origins.set(id, origin)
    }
    origin.seq = seq
    if (refusal === undefined) return
    origin.refused.set(seq, refusal)
    const [oldest] = origin.refused.keys()
    if (origin.refused.size > FORWARDED_MAX && oldest !== undefined) origin.refused.delete(oldest)
  }

  /** Refusal of the seq when it was received; undefined if it was appended. */
  refusal(id: ReplicaId, boot: number, seq: number): Refusal | undefined {
    const origin = this.#origins.get(id)
    return origin?.boot === boot ? origin.refused.get(seq) : undefined
  }
}
