// The end of a node: by a failure, by a stop, or as if killed. Every part reads here whether the node has ended.

import { MissingRowError, UnknownKindError } from '../../kv/index.ts'
import { CorruptionError, UnfitReplicaError } from '../../storage/index.ts'
import type { Storage } from '../../storage/types.ts'
import type { Logger, NodeEnd } from '../options.ts'
import type { Clock } from './clock.ts'
import type { Disk } from './disk.ts'
import type { DriverLimits } from './limits.ts'
import type { NodeEvents } from './node-events.ts'

interface LifecycleOptions {
  readonly clock: Clock
  readonly limits: Pick<DriverLimits, 'removedGraceMs'>
  readonly logger: Logger
  readonly storage: Pick<Storage, 'damaged' | 'quarantine'>
  readonly disk: Pick<Disk, 'giveBackReserve'>
  readonly events: Pick<NodeEvents, 'abandoned' | 'leaving' | 'ended'>
  readonly onEnd: (end: NodeEnd) => void
}

export class Lifecycle {
  readonly #options: LifecycleOptions
  /** Why the node has ended; undefined while it runs. */
  end: NodeEnd | undefined
  #isShutdownScheduled = false
  /** Whether the node waits for its open proposals before it stops. */
  isDraining = false

  constructor(options: LifecycleOptions) {
    this.#options = options
  }

  drain(): void {
    this.isDraining = true
  }

  stop(): void {
    this.#endAs({ kind: 'stopped', reason: 'the node was stopped' })
  }

  /** Ends the node as if it were killed. */
  crash(): void {
    this.#options.events.abandoned()
    this.#endAs({ kind: 'crashed', reason: 'the node was crashed on purpose' })
  }

  fail(error: unknown): void {
    if (this.end !== undefined) return
    if (error instanceof MissingRowError) {
      // The storage fails, and its listener ends this node with the error that the storage returns.
      this.fail(this.#options.storage.damaged(error.message))
      return
    }
    const reason = error instanceof Error ? error.message : String(error)
    if (error instanceof UnknownKindError) {
      this.refuse(reason)
      return
    }
    this.#options.logger.error({ err: error }, `stopping: ${reason}`)
    this.#fail(error, { kind: 'failed', reason })
  }

  /** Ends the node for a reason that an operator must remove. It is no defect, so the log has no stack. */
  refuse(reason: string, usage = false): void {
    if (this.end !== undefined) return
    this.#options.logger.error({}, `stopping: ${reason}`)
    this.#fail(undefined, { kind: 'failed', reason, ...(usage ? { usage } : {}) })
  }

  #fail(error: unknown, end: NodeEnd): void {
    // A later start would find the damage only when it reads it, and its scrub of all rows takes hours.
    if (error instanceof UnfitReplicaError || error instanceof CorruptionError) this.#quarantine(end.reason)
    this.#options.events.abandoned()
    this.#endAs(end)
    this.#options.onEnd(end)
  }

  /** After a broken invariant or an unreadable row the node stops, so that it does not diverge. */
  failOnThrow(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.fail(error)
    }
  }

  /** Returns the result of a read. A read that throws stops the node, and the caller gets the error too. */
  guardRead<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      this.fail(error)
      throw error
    }
  }

  /** Ends the node after a grace time, in which clients get their answers. */
  scheduleShutdown(reason: string): void {
    if (this.#isShutdownScheduled) return
    this.#isShutdownScheduled = true
    this.#options.events.leaving(reason)
    this.#options.clock.after(this.#options.limits.removedGraceMs, () => this.refuse(reason))
  }

  #quarantine(why: string): void {
    const { disk, logger, storage } = this.#options
    // Another program may have filled the disk.
    disk.giveBackReserve()
    try {
      storage.quarantine(why)
    } catch (error) {
      logger.error({ err: error }, 'the data directory cannot be marked: do not start this node again')
    }
  }

  #endAs(end: NodeEnd): void {
    if (this.end !== undefined) return
    this.end = end
    this.#options.events.ended(end)
  }
}
