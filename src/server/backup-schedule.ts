// Backups that a node makes by itself. The leader does it, so one node of the cluster at a time: a leader that was
// deposed is refused the read. It makes one when the newest in the target is old enough. So nodes with a common target
// make no more than one node would, also after a change of the leader or a restart.

import { type BackupTarget, backupName, backupsOf, partialsOf } from '../backup/target.ts'
import { backupFile } from './api/backup.ts'
import type { BackupCounts } from './node/metrics.ts'
import type { Logger, NodeApi } from './node/types.ts'

export interface BackupScheduleOptions {
  readonly node: NodeApi
  readonly target: BackupTarget
  readonly everyMs: number
  /** Older ones are deleted when there are more. */
  readonly keep: number
  readonly logger: Logger
}

/** The time is checked so many times in the interval, and at least once a minute. */
const CHECKS = 20
const CHECK_MS_MIN = 50
const CHECK_MS_MAX = 60_000

export class BackupSchedule {
  readonly #options: BackupScheduleOptions
  #timer: NodeJS.Timeout | undefined
  #lastSuccessMs: number | undefined
  #failuresTotal = 0
  #failure: string | undefined
  #isStopped = false

  constructor(options: BackupScheduleOptions) {
    this.#options = options
  }

  get counts(): BackupCounts {
    return { lastSuccessMs: this.#lastSuccessMs, failuresTotal: this.#failuresTotal, failure: this.#failure }
  }

  start(): void {
    const { everyMs } = this.#options
    const pauseMs = Math.max(CHECK_MS_MIN, Math.min(CHECK_MS_MAX, everyMs / CHECKS))
    this.#timer = setTimeout(() => {
      void this.check().finally(() => {
        if (!this.#isStopped) this.start()
      })
    }, pauseMs).unref()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  /** Makes a backup if one is due and this node leads. Never rejects. */
  async check(): Promise<void> {
    const { node, logger, target } = this.#options
    if (node.status().raft.role !== 'leader') {
      this.#failure = undefined
      return
    }
    try {
      const names = await target.list()
      const found = backupsOf(node.clusterId, names)
      const now = Date.now()
      // A name with a time to come is from a clock that was wrong. It does not stop the schedule, and is deleted first.
      const past = found.filter(({ timeMs }) => timeMs <= now)
      this.#lastSuccessMs = past[0]?.timeMs
      if (now - (this.#lastSuccessMs ?? Number.NEGATIVE_INFINITY) >= this.#options.everyMs) {
        // Killed nodes left them. A node that has just lost the leadership may write one now: that backup fails.
        for (const partial of partialsOf(node.clusterId, names)) await target.delete(partial)
        const future = found.filter(({ timeMs }) => timeMs > now)
        await this.#make([...past, ...future].map(({ name }) => name))
      }
      this.#failure = undefined
    } catch (error) {
      if (this.#isStopped) return
      this.#failuresTotal++
      this.#failure = error instanceof Error ? error.message : String(error)
      logger.error({ err: error }, `the scheduled backup failed: ${this.#failure}`)
    }
  }

  async #make(before: readonly string[]): Promise<void> {
    const { node, target, keep, logger } = this.#options
    const timeMs = Date.now()
    const name = backupName(node.clusterId, timeMs, node.revision)
    await target.write(name, this.#untilStopped(backupFile(node, true)))
    this.#lastSuccessMs = timeMs
    logger.info({ name }, 'backup made')
    for (const old of before.slice(keep - 1)) await target.delete(old)
  }

  async *#untilStopped(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      if (this.#isStopped) throw new Error('the node is stopping')
      yield chunk
    }
  }
}
