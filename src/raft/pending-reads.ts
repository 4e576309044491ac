// Reads for which a follower has requested a read index from its leader (thesis §6.4). They stay here until the
// response arrives, they expire, or the leader changes.

import type { MonotonicMs } from './types.ts'

/** The reads of one request. */
interface PendingRead {
  readonly ids: readonly number[]
  readonly expires: MonotonicMs
}

export class PendingReads {
  /** Reads that wait for an answer, by the id of their request, oldest first. */
  readonly #requests = new Map<number, PendingRead>()
  #nextRequest: number

  constructor(boot: number) {
    // Ids are unique across this process and the one before, so that an old response cannot match a new request.
    this.#nextRequest = (boot % 2 ** 16) * 2 ** 36
  }

  get size(): number {
    return this.#requests.size
  }

  /** Time when the oldest request expires. */
  get deadline(): MonotonicMs {
    for (const { expires } of this.#requests.values()) return expires
    return Number.POSITIVE_INFINITY
  }

  /** Registers these reads and returns the id of their request. */
  register(ids: readonly number[], expires: MonotonicMs): number {
    const request = this.#nextRequest++
    this.#requests.set(request, { ids, expires })
    return request
  }

  /** Removes a request and returns its reads; undefined when they have ended already. */
  take(request: number): readonly number[] | undefined {
    const ids = this.#requests.get(request)?.ids
    this.#requests.delete(request)
    return ids
  }

  /** Removes the reads that have expired, and returns them. */
  takeExpired(now: MonotonicMs): readonly number[] {
    const ended: number[] = []
    for (const [request, { ids, expires }] of this.#requests) {
      if (expires > now) break
      this.#requests.delete(request)
      ended.push(...ids)
    }
    return ended
  }

  /** Removes all reads, and returns them. */
  takeAll(): readonly number[] {
    const ended = [...this.#requests.values()].flatMap(({ ids }) => ids)
    this.#requests.clear()
    return ended
  }
}
