// Reads for which a follower has asked its leader for a read index (thesis §6.4). They stay here until the answer
// arrives, they expire, or the leader changes.

import type { MonotonicMs } from './types.ts'

/** The reads of one request. */
interface PendingRead {
  readonly ids: readonly number[]
  readonly expires: MonotonicMs
}

export class PendingReads {
  /** By the id of the request, oldest first. */
  readonly #asked = new Map<number, PendingRead>()
  #nextRequest: number

  constructor(boot: number) {
    // Neither this process nor the one before it uses an id twice. So an old answer is not taken for a new one.
    this.#nextRequest = (boot % 2 ** 16) * 2 ** 36
  }

  get size(): number {
    return this.#asked.size
  }

  /** When the oldest request expires. */
  get deadline(): MonotonicMs {
    for (const { expires } of this.#asked.values()) return expires
    return Number.POSITIVE_INFINITY
  }

  /** Registers these reads and returns the id of their request. */
  ask(ids: readonly number[], expires: MonotonicMs): number {
    const request = this.#nextRequest++
    this.#asked.set(request, { ids, expires })
    return request
  }

  /** Removes an answered request and returns its reads; undefined when they have ended before. */
  answered(request: number): readonly number[] | undefined {
    const ids = this.#asked.get(request)?.ids
    this.#asked.delete(request)
    return ids
  }

  /** Removes the reads that have expired, and returns them. */
  expire(now: MonotonicMs): readonly number[] {
    const ended: number[] = []
    for (const [request, { ids, expires }] of this.#asked) {
      if (expires > now) break
      this.#asked.delete(request)
      ended.push(...ids)
    }
    return ended
  }

  /** Removes all reads, and returns them. */
  endAll(): readonly number[] {
    const ended = [...this.#asked.values()].flatMap(({ ids }) => ids)
    this.#asked.clear()
    return ended
  }
}
