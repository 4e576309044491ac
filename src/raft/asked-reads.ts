// Reads for which a follower has asked its leader for a read index (thesis §6.4), until the answer comes, the time is
// over, or the leader changes.

import type { MonotonicMs } from './types.ts'

/** Reads that were asked for together. */
interface Asked {
  readonly ids: readonly number[]
  readonly expires: MonotonicMs
}

export class AskedReads {
  /** By the id of the request, the oldest first. */
  readonly #asked = new Map<number, Asked>()
  #nextRequest: number

  constructor(boot: number) {
    // An id is never used twice, by this process or the one before it: an old answer must not pass for a new one.
    this.#nextRequest = (boot % 2 ** 16) * 2 ** 36
  }

  get size(): number {
    return this.#asked.size
  }

  /** When the oldest expires. */
  get deadline(): MonotonicMs {
    for (const { expires } of this.#asked.values()) return expires
    return Number.POSITIVE_INFINITY
  }

  /** The id of the request for these reads. */
  ask(ids: readonly number[], expires: MonotonicMs): number {
    const request = this.#nextRequest++
    this.#asked.set(request, { ids, expires })
    return request
  }

  /** The reads of a request that is answered; undefined when they have ended before. */
  answered(request: number): readonly number[] | undefined {
    const ids = this.#asked.get(request)?.ids
    this.#asked.delete(request)
    return ids
  }

  /** Ends the reads whose time is over, and returns them. */
  expire(now: MonotonicMs): readonly number[] {
    const ended: number[] = []
    for (const [request, { ids, expires }] of this.#asked) {
      if (expires > now) break
      this.#asked.delete(request)
      ended.push(...ids)
    }
    return ended
  }

  /** Ends all reads, and returns them. */
  endAll(): readonly number[] {
    const ended = [...this.#asked.values()].flatMap(({ ids }) => ids)
    this.#asked.clear()
    return ended
  }
}
