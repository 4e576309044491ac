// Compares the state hashes that replicas report (NODE-6), and keeps the error that the status shows.

import { assertNever, type ReplicaId } from '../../raft/index.ts'
import { UnfitReplicaError } from '../../storage/index.ts'
import { StateHashes } from './state-hashes.ts'
import type { Logger, StateHashAt } from './types.ts'

export interface StateHashMonitorEvents {
  readonly logger: Logger
  voters(): readonly ReplicaId[]
  /** A majority holds another state: this node must stop. */
  diverged(error: Error): void
}

export class StateHashMonitor {
  readonly #hashes: StateHashes
  readonly #events: StateHashMonitorEvents
  #error: string | undefined

  constructor(self: ReplicaId, events: StateHashMonitorEvents) {
    this.#hashes = new StateHashes(self)
    this.#events = events
  }

  /** Set while replicas differ and this one is not known to be wrong. */
  get error(): string | undefined {
    return this.#error
  }

  report(from: ReplicaId, at: StateHashAt): void {
    const { logger } = this.#events
    const verdict = this.#hashes.report(from, at, this.#events.voters())
    switch (verdict.kind) {
      case 'equal':
        return
      case 'all-equal':
        if (this.#error !== undefined) logger.info({}, 'all voters hold the same again')
        this.#error = undefined
        return
      case 'differs':
        if (this.#error === undefined) logger.error({}, `replicas differ: ${verdict.detail}`)
        this.#error = `replicas differ: ${verdict.detail}`
        return
      case 'diverged':
        this.#events.diverged(new UnfitReplicaError(`this replica has diverged: ${verdict.detail}`))
        return
      default:
        assertNever(verdict)
    }
  }
}
