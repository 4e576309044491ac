// Requests of clients for a transfer of leadership, until another node leads, the core gives up, or the time is over.

import type { Output, Raft, ReplicaId } from '../../../raft/index.ts'
import type { Logger } from '../../options.ts'
import type { Clock } from '../clock.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { NodeEvents } from '../node-events.ts'
import type { Problem, Result } from '../result.ts'
import type { Members } from './members.ts'
import type { StateWaiters } from './state-waiters.ts'

/** Called with the reason when the core refuses or abandons a transfer. */
export type TransferRefusal = (detail: string) => void

interface TransferRequestsOptions {
  readonly clock: Clock
  readonly limits: Pick<DriverLimits, 'transfersMax'>
  readonly logger: Logger
  readonly raft: Pick<Raft, 'leader' | 'term'>
  readonly waits: StateWaiters
  readonly lifecycle: Pick<Lifecycle, 'end'>
  readonly members: Pick<Members, 'leaderName'>
  readonly events: Pick<NodeEvents, 'step'>
}

export class TransferRequests {
  readonly #options: TransferRequestsOptions
  readonly #open = new Set<TransferRefusal>()

  constructor(options: TransferRequestsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#open.size
  }

  add(
    to: ReplicaId | undefined,
    timeoutMs: number,
    done: (result: Result<{ readonly leader: string }>) => void,
  ): void {
    const { clock, raft, waits } = this.#options
    const { leader: before, term } = raft
    const moved = (): boolean => {
      const { leader } = raft
      if (to !== undefined) return leader === to
      return leader !== undefined && leader !== before && raft.term > term
    }
    let refusal: string | undefined
    let giveUp = (): void => {}
    const refuse = (detail: string): void => {
      refusal = detail
      giveUp()
    }
    clock.soon(() => {
      const { end } = this.#options.lifecycle
      if (end !== undefined) {
        done({ ok: false, problem: { code: 'not_ready', detail: end.reason, written: 'no' } })
        return
      }
      const { transfersMax } = this.#options.limits
      if (this.#open.size >= transfersMax) {
        const detail = `${transfersMax} requests for a transfer of leadership wait on this node already`
        done({ ok: false, problem: { code: 'overloaded', detail, written: 'no' } })
        return
      }
      this.#open.add(refuse)
      giveUp = waits.until(moved, timeoutMs, (reached) => {
        this.#open.delete(refuse)
        if (reached) done({ ok: true, value: { leader: this.#options.members.leaderName ?? '' } })
        else if (refusal === undefined) done({ ok: false, problem: NOT_TAKEN_OVER })
        else {
          const code = raft.leader === undefined ? 'no_leader' : 'membership_refused'
          done({ ok: false, problem: { code, detail: refusal, written: 'no' } })
        }
      })
      // Leadership may have moved already. Then the new leader must not be requested to hand over again, perhaps to
      // this node, which is about to stop.
      if (this.#open.has(refuse))
        this.#options.events.step({ kind: 'transfer', now: clock.now(), to }, refuse)
    })
  }

  /**
   * The core reports the end of a transfer. A refusal is for the request of this step (`refuse`). An abort is for all
   * other open requests, which were made before.
   */
  ended({ outcome, detail }: NonNullable<Output['transfer']>, refuse: TransferRefusal | undefined): void {
    this.#options.logger.info({ outcome }, `leadership transfer ${outcome}: ${detail}`)
    if (outcome === 'refused') refuse?.(detail)
    if (outcome !== 'aborted') return
    for (const each of [...this.#open]) if (each !== refuse) each(detail)
  }
}

const NOT_TAKEN_OVER: Problem = {
  code: 'no_leader',
  detail: 'leadership was not taken over in time; it may have stayed where it was',
  written: 'no',
}
