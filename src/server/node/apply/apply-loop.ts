// The loop that applies committed entries. One run takes at most `applySliceMs`, so that heartbeats and reads do not
// wait.

import { checkKnown, type KvState } from '../../../kv/index.ts'
import { CLUSTER_VERSION } from '../../../operations/forms/settings.ts'
import {
  ENTRY_KINDS_OF_CORE,
  type Entry,
  encodeAppliedState,
  frameBody,
  frameKind,
  frameVersion,
  type InFlightCounts,
  type LogIndex,
  type Raft,
} from '../../../raft/index.ts'
import type { Storage } from '../../../storage/types.ts'
import type { Clock } from '../clock.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { DriverLimits } from '../limits.ts'
import type { NodeEvents } from '../node-events.ts'
import { Applier, type ApplierOwner, type EntryEvents } from './applier.ts'

interface ApplyLoopOptions {
  readonly clock: Clock
  readonly storage: Storage
  readonly limits: Pick<
    DriverLimits,
    'applySliceMs' | 'applySliceSteps' | 'applyKeysAtOnce' | 'overlayBytesMax'
  >
  readonly raft: Pick<Raft, 'appliedState'>
  readonly lifecycle: Pick<Lifecycle, 'end' | 'fail' | 'failOnThrow'>
  readonly events: EntryEvents &
    Pick<NodeEvents, 'coreEntryApplied' | 'configurationApplied' | 'entriesApplied'>
  /** The newest cluster version that the replica knows. */
  readonly knownVersion: number
}

export class ApplyLoop implements ApplierOwner {
  readonly #options: ApplyLoopOptions
  readonly #applier: Applier
  /** The commit index at the start. The node is not ready before it has applied everything up to there. */
  readonly #commitAtStart: LogIndex
  #isRunning = false
  #isScheduled = false

  constructor(options: ApplyLoopOptions) {
    this.#options = options
    const { events, limits, storage } = options
    this.#commitAtStart = storage.hardState.commit
    this.#applier = new Applier(storage, this, events, limits.applyKeysAtOnce)
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
    const { knownVersion, lifecycle } = this.#options
    // The decoders know all versions up to that of the program.
    if (knownVersion < CLUSTER_VERSION) lifecycle.failOnThrow(() => this.#checkKnown(entries))
    if (lifecycle.end !== undefined) return
    this.#applier.push(entries)
    this.#run()
  }

  #checkKnown(entries: readonly Entry[]): void {
    for (const { frame } of entries)
      if (frameKind(frame) >= ENTRY_KINDS_OF_CORE)
        checkKnown(frameKind(frame), frameVersion(frame), frameBody(frame), this.#options.knownVersion)
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
      if (index > before) this.#options.events.entriesApplied(index - before, index)
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

  // -------------------------------------------------------------------------------------------------------------------
  // For the applier

  coreEntryApplied({ index }: Entry): Uint8Array {
    const { events, raft } = this.#options
    events.coreEntryApplied(index)
    const raftState = encodeAppliedState(raft.appliedState())
    events.configurationApplied()
    return raftState
  }

  entryRead(): void {
    this.#options.lifecycle.failOnThrow(() => this.#run())
  }

  failed(error: Error): void {
    this.#options.lifecycle.fail(error)
  }
}
