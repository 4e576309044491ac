// Ends the watches of a node that nothing new can reach. An open watch without events must not look as if nothing
// happened.

import type { MonotonicMs, ReplicaId } from '../../../raft/index.ts'
import type { Clock, Timer } from '../clock.ts'
import type { WatchHub } from './hub.ts'

export class LeaderLoss {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #hub: WatchHub
  /** Runs while no leader is known. */
  #timer: Timer | undefined

  constructor(clock: Clock, limitMs: number, hub: WatchHub) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#hub = hub
  }

  leaderChanged(leader: ReplicaId | undefined): void {
    if (leader !== undefined) {
      this.#timer?.cancel()
      this.#timer = undefined
      return
    }
    this.#timer ??= this.#clock.after(this.#limitMs, () => {
      this.#timer = undefined
      this.#hub.endEach('no-leader', `this node has had no leader for ${this.#limitMs} ms`)
    })
  }

  /** A full disk keeps the node behind. Called periodically. */
  withoutSpace(stalenessMs: MonotonicMs | undefined): void {
    if ((stalenessMs ?? Number.POSITIVE_INFINITY) > this.#limitMs)
      this.#hub.endEach('no-room', `the full disk of this node has kept it behind for ${this.#limitMs} ms`)
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
