// The loop that applies committed entries. One run takes at most `applySliceMs`, so that heartbeats and reads do not
// wait.

import type { KvState } from '../../kv/index.ts'
import {
  type Entry,
  encodeAppliedState,
  type InFlightCounts,
  type LogIndex,
  type Raft,
} from '../../raft/index.ts'
import type { Storage } from '../../storage/types.ts'
import { Applier, type ApplierEvents } from './applier.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { DriverLimits } from './limits.ts'
import type { Clock } from './types.ts'

export interface ApplyLoopOptions {
  readonly clock: Clock
  readonly storage: Storage
  readonly limits: Pick<
    DriverLimits,
    'applySliceMs' | 'applySliceSteps' | 'applyKeysAtOnce' | 'overlayBytesMax'
  >
  readonly raft: Pick<Raft, 'appliedState'>
  readonly lifecycle: Pick<Lifecycle, 'end' | 'fail' | 'failOnThrow'>
  /** Reports to the core that its entry at this index is applied. */
  coreEntryApplied(index: LogIndex): void
  /** The core's configuration after an entry of the core. */
  configurationChanged(): void
  readonly entryApplied: ApplierEvents['applied']
  readonly leaseChanged: ApplierEvents['leaseChanged']
  readonly authChanged: ApplierEvents['authChanged']
  /** Entries were applied, up to `index`. */
  sliceApplied(count: number, index: LogIndex): void
}

export class ApplyLoop {
  readonly #options: ApplyLoopOptions
  readonly #applier: Applier
  /** The commit index at the start. The node is not ready before it has applied everything up to there. */
  readonly #commitAtStart: LogIndex
  #isRunning = false
  #isScheduled = false

  constructor(options: ApplyLoopOptions) {
    this.#options = options
    const { lifecycle, limits, storage } = options
    this.#commitAtStart = storage.hardState.commit
    const events: ApplierEvents = {
      coreEntryApplied: (entry) => this.#coreEntryApplied(entry),
      applied: options.entryApplied,
      leaseChanged: options.leaseChanged,
      authChanged: options.authChanged,
      entryRead: () => lifecycle.failOnThrow(() => this.#run()),
      failed: (error) => lifecycle.fail(error),
    }
    this.#applier = new Applier(storage, events, limits.applyKeysAtOnce)
  }

  get state(): KvState {
    return this.#applier.state
  }

  /** The last index applied. */
  get index(): LogIndex {
    return this.#applier.index
  }

  /** Why the node is not ready: entries that were committed at its start are not applied yet. */
  get notReady(): string | undefined {
    if (this.index >= this.#commitAtStart) return undefined
    return `catching up: applied ${this.index} of ${this.#commitAtStart}`
  }

  inspect(): InFlightCounts {
    const { overlayBytes } = this.#options.storage
    return { unapplied: this.#applier.queued, applySoon: Number(this.#isScheduled), overlayBytes }
  }

  push(entries: readonly Entry[]): void {
    this.#applier.push(entries)
    this.#run()
  }

  /** Continues after rows have become durable. */
  resume(): void {
    this.#options.lifecycle.failOnThrow(() => this.#run())
  }

  /** A snapshot is about to replace the applied state. */
  clear(): void {
    this.#applier.clear()
  }

  /** The snapshot has replaced the applied state. */
  reload(): void {
    this.#applier.reload()
  }

  #run(): void {
    // Applying an entry of the core takes a step, whose output may bring more entries. The loop below finds them.
    if (this.#isRunning || this.#isScheduled) return
    this.#isRunning = true
    const { clock, lifecycle, limits } = this.#options
    const until = clock.now() + limits.applySliceMs
    const isFull = this.#isFull
    while (this.#applier.pending && lifecycle.end === undefined && !isFull()) {
      const before = this.#applier.index
      const enough = (): boolean => clock.now() >= until || isFull()
      const isOver = this.#applier.run(enough, limits.applySliceSteps, isFull)
      const { index } = this.#applier
      if (index > before) this.#options.sliceApplied(index - before, index)
      if (isOver || clock.now() >= until) break
    }
    this.#isRunning = false
    if (!this.#applier.pending || isFull() || lifecycle.end !== undefined) return
    this.#isScheduled = true
    clock.soon(() => {
      this.#isScheduled = false
      lifecycle.failOnThrow(() => this.#run())
    })
  }

  /** Whether memory has as many rows that are not durable as it may have. The disk is slower than apply. */
  readonly #isFull = (): boolean => {
    const { limits, storage } = this.#options
    return storage.overlayBytes >= limits.overlayBytesMax
  }

  #coreEntryApplied({ index }: Entry): Uint8Array {
    this.#options.coreEntryApplied(index)
    const raftState = encodeAppliedState(this.#options.raft.appliedState())
    this.#options.configurationChanged()
    return raftState
  }
}
