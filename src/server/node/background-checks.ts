// The periodic checks of a node: it compares its state hash with those of the peers, scrubs its rows, and compacts
// history.

import type { KvState } from '../../kv/index.ts'
import type { LogIndex, Raft, ReplicaId } from '../../raft/index.ts'
import type { Storage } from '../../storage/types.ts'
import { HistoryCompactor } from './history-compactor.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { DriverLimits } from './limits.ts'
import type { Members } from './members.ts'
import { Scrubber } from './scrubber.ts'
import { StateHashMonitor } from './state-hash-monitor.ts'
import type { Clock, Logger, NodeApi, StateHashAt, Timer } from './types.ts'

export interface BackgroundChecksOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly storage: Storage
  readonly limits: DriverLimits
  readonly raft: Pick<Raft, 'id' | 'clusterTimeMs'>
  readonly lifecycle: Pick<Lifecycle, 'end' | 'fail' | 'failOnThrow'>
  readonly members: Pick<Members, 'configuration'>
  readonly applied: { readonly state: KvState; readonly index: LogIndex }
  readonly node: Pick<NodeApi, 'propose'>
  sendStateHash(at: StateHashAt): void
  /** Called every `hashIdleMs`. */
  checkSpace(): void
}

export class BackgroundChecks {
  readonly #options: BackgroundChecksOptions
  readonly #hashes: StateHashMonitor
  readonly #scrubber: Scrubber
  readonly #compactor: HistoryCompactor
  #timer: Timer | undefined

  constructor(options: BackgroundChecksOptions) {
    this.#options = options
    const { applied, clock, lifecycle, limits, logger, members, raft, storage } = options
    this.#hashes = new StateHashMonitor(raft.id, {
      logger,
      voters: () => members.configuration.voters,
      diverged: (error) => lifecycle.fail(error),
    })
    this.#scrubber = new Scrubber(clock, storage, limits, (error) => lifecycle.fail(error))
    this.#compactor = new HistoryCompactor({
      get state() {
        return applied.state
      },
      clusterTimeMs: () => raft.clusterTimeMs(clock.now()),
      get: (rowKey) => {
        let row: Uint8Array | undefined
        lifecycle.failOnThrow(() => {
          row = storage.get(rowKey)
        })
        return row
      },
      propose: (request, done) => options.node.propose(request, limits.hashIdleMs, ({ ok }) => done(ok)),
    })
  }

  /** An error for the status: replicas differ, and this one is not known to be wrong. */
  get error(): string | undefined {
    return this.#hashes.error
  }

  start(): void {
    this.#arm()
    this.#scrubber.start()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#scrubber.stop()
  }

  /** Reports the state hash at every `hashEveryEntries`-th entry, so that replicas report the same ones. */
  entryApplied(index: LogIndex): void {
    if (index % this.#options.limits.hashEveryEntries === 0) this.#reportHash()
  }

  sliceApplied(): void {
    this.#compactor.check(false)
  }

  hashReceived(from: ReplicaId, at: StateHashAt): void {
    this.#hashes.report(from, at)
  }

  #arm(): void {
    const { clock, lifecycle, limits } = this.#options
    this.#timer = clock.after(limits.hashIdleMs, () => {
      this.#reportHash()
      this.#compactor.check(true)
      this.#options.checkSpace()
      if (lifecycle.end === undefined) this.#arm()
    })
  }

  #reportHash(): void {
    const { applied, raft, storage } = this.#options
    const at = { index: applied.index, hash: storage.stateHash }
    this.#options.sendStateHash(at)
    this.#hashes.report(raft.id, at)
  }
}
