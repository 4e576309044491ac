// Backups that a node makes by itself. The leader does it, so one node of the cluster at a time: a leader that was
// deposed is refused the read, or gives its backup up. It makes one when the newest in the target is old enough. So
// nodes with a common target make no more than one node would, also after a change of the leader or a restart.
//
// Each node lists its target at intervals, also a follower: it knows the age of the newest backup, and that it could
// not reach the target, before it leads.

import { type BackupTarget, backupName, findBackups, findPartials, namePrefix } from '../../backup/target.ts'
import { decodeState } from '../../kv/index.ts'
import { backupFile } from '../api/backup.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { BackupCounts } from '../node/observe/metrics.ts'
import type { Logger } from '../options.ts'

interface BackupScheduleOptions {
  readonly node: KvNode
  readonly target: BackupTarget
  readonly everyMs: number
  /** Older ones are deleted when there are more. */
  readonly keep: number
  /** Bytes that a backup may take there now; Infinity if that takes nothing from the data of the node. */
  readonly room: (directory: string) => number
  readonly logger: Logger
}

/** The time is checked so many times in the interval, and at least once a minute. */
const CHECKS = 20
const CHECK_MS_MIN = 50
const CHECK_MS_MAX = 60_000
/** The pause doubles with each failure, up to the interval, and to this. */
const RETRY_MS_MAX = 30 * 60_000
/** A node that starts learns soon how old the newest backup is. */
const FIRST_CHECK_MS = 1000
/** Room and leadership are checked again when so much has been written. */
const CHECKED_BYTES = 4 * 2 ** 20

export class BackupSchedule {
  readonly #options: BackupScheduleOptions
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #lastSuccessMs: number | undefined
  #failuresTotal = 0
  /** Failures since the last check that succeeded. */
  #failuresInRow = 0
  #failure: string | undefined

  constructor(options: BackupScheduleOptions) {
    this.#options = options
  }

  get counts(): BackupCounts {
    return { lastSuccessMs: this.#lastSuccessMs, failuresTotal: this.#failuresTotal, failure: this.#failure }
  }

  start(): void {
    this.#checkAfter(Math.min(FIRST_CHECK_MS, this.#pauseMs))
  }

  stop(): void {
    this.#stop.abort(new Error('the node is stopping'))
    clearTimeout(this.#timer)
  }

  #checkAfter(delayMs: number): void {
    this.#timer = setTimeout(() => {
      void this.check().finally(() => {
        if (this.#stop.signal.aborted) return
        const retryMs = this.#pauseMs * 2 ** this.#failuresInRow
        this.#checkAfter(Math.max(this.#pauseMs, Math.min(retryMs, RETRY_MS_MAX, this.#options.everyMs)))
      })
    }, delayMs).unref()
  }

  get #pauseMs(): number {
    return Math.max(CHECK_MS_MIN, Math.min(CHECK_MS_MAX, this.#options.everyMs / CHECKS))
  }

  get #isLeader(): boolean {
    return this.#options.node.status().raft.role === 'leader'
  }

  /** Makes a backup if one is due and this node leads. Never rejects. */
  async check(): Promise<void> {
    const { logger } = this.#options
    const wasLeader = this.#isLeader
    try {
      await this.#check(wasLeader)
      this.#failuresInRow = 0
      this.#failure = undefined
    } catch (error) {
      if (this.#stop.signal.aborted) return
      const failure = error instanceof Error ? error.message : String(error)
      if (wasLeader && !this.#isLeader) {
        logger.info({}, `the scheduled backup is left to the new leader: ${failure}`)
        return
      }
      this.#failuresTotal++
      this.#failuresInRow++
      // A failure that lasts is in the log once; metrics and status have it all the time.
      if (failure !== this.#failure) logger.error({}, `the scheduled backup failed: ${failure}`)
      this.#failure = failure
    }
  }

  async #check(isLeader: boolean): Promise<void> {
    const { node, target, everyMs } = this.#options
    const { signal } = this.#stop
    const files = await target.list(namePrefix(node.clusterId), signal)
    const found = findBackups(node.clusterId, files)
    const now = Date.now()
    // A name with a time to come is from a clock that was wrong. It does not stop the schedule, and is deleted first.
    const past = found.filter(({ timeMs }) => timeMs <= now)
    this.#lastSuccessMs = past[0]?.timeMs
    if (!isLeader || now - (this.#lastSuccessMs ?? Number.NEGATIVE_INFINITY) < everyMs) return
    // Killed nodes left them. A node that has just lost the leadership may write one now: that backup fails.
    const notDeleted = await this.#delete(findPartials(node.clusterId, files))
    await this.#make(past[0]?.bytes ?? 0)
    const future = found.filter(({ timeMs }) => timeMs > now)
    const before = [...past, ...future].map(({ name }) => name)
    const failure = (await this.#delete(before.slice(this.#options.keep - 1))) ?? notDeleted
    if (failure !== undefined) throw failure
  }

  /** `lastBytes`: the size of the newest backup. */
  async #make(lastBytes: number): Promise<void> {
    const { node, target, logger } = this.#options
    const { signal } = this.#stop
    this.#requireRoom(Math.max(lastBytes, storedBytes(node)))
    const timeMs = Date.now()
    const name = backupName(node.clusterId, timeMs, node.revision)
    await target.write(name, this.#checked(backupFile(node, true)), signal)
    // Old ones are deleted next: a server may have answered that does not store it.
    const files = await target.list(name, signal)
    if (!files.some((file) => file.name === name && file.bytes > 0))
      throw new Error(`${name} was stored, and the list of backups lacks it`)
    this.#lastSuccessMs = timeMs
    logger.info({ name }, 'backup made')
  }

  /** Deletes all that it can. Returns the first failure. */
  async #delete(names: readonly string[]): Promise<Error | undefined> {
    const { target } = this.#options
    let failure: Error | undefined
    for (const name of names)
      try {
        await target.delete(name, this.#stop.signal)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        failure ??= new Error(`${name} cannot be deleted: ${reason}`)
      }
    return failure
  }

  /** Ends the backup when the node stops or no longer leads, and when room runs out. */
  async *#checked(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    let unchecked = 0
    for await (const chunk of chunks) {
      this.#stop.signal.throwIfAborted()
      unchecked += chunk.length
      if (unchecked >= CHECKED_BYTES) {
        this.#requireRoom(1)
        this.#requireLeadership()
        unchecked = 0
      }
      yield chunk
    }
    this.#requireLeadership()
  }

  /** The new leader makes this backup too. */
  #requireLeadership(): void {
    if (!this.#isLeader) throw new Error('this node no longer leads')
  }

  #requireRoom(bytes: number): void {
    const { room, target } = this.#options
    const left = room(target.directory)
    if (bytes <= left) return
    throw new Error(
      `backups in ${target.directory} may take ${mebibytes(left)} more of the file system of the data, where twice --disk-reserve stays free, and this one needs ${mebibytes(bytes)} or more: give --backup-to another file system, lower --backup-keep, or delete old ones`,
    )
  }
}

/** Keys and values. The file is about as large, without the versions that were replaced. */
function storedBytes(node: KvNode): number {
  const scan = node.rows()
  try {
    return decodeState(scan.applied.kv).storeBytes
  } finally {
    scan.close()
  }
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`
