// Watches the free space of the disk: periodically, and sooner after large writes. A write that fails for lack of
// space ends the node (docs/invariants.md, STORE-4), and with equal disks all nodes of a cluster at once. So changes
// are refused while there is still room for accepted entries, for deletes, and for LevelDB's compaction, which frees
// space:
//
//   free space   enough ── diskReserveBytes ── low ── a quarter of that ── none
//
//   low:   entries that free space (deletes) are accepted, others are refused; a leader transfers its leadership to a
//          node that has room
//   none:  no change is written; the replica votes, follows and serves, and until there is room again it takes no
//          entries except the first one of a term
//
// While the disk is short, the log is kept no longer than needed. While it is low, the node requests compactions from
// LevelDB at intervals. On its own, LevelDB would keep deleted data until enough new data is written, and none is. A
// compaction needs space before it frees some: a hundred MiB if much was written lately. So it is not requested with
// less than half of the reserve left. If it fails, LevelDB accepts no more writes, not even when there is room again.
// A scan keeps data that compactions have replaced. So long scans are ended while LevelDB compacts everything and
// space is short, and whenever less than half of the reserve is left.
//
// When space becomes short, a file of an eighth of the reserve is created. It is deleted before `none` is declared, so
// that some space is left even when another program fills the disk.

import type { MonotonicMs } from '../../../raft/index.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Disk } from '../disk.ts'
import type { DriverLimits } from '../limits.ts'

/**
 * `low`: only changes that free space are accepted. `none`: no command is written, only the few small entries of
 * consensus.
 */
export type DiskSpaceState = 'enough' | 'low' | 'none'

interface DiskSpaceEvents {
  changed(state: DiskSpaceState): void
  /**
   * Frees the space of deleted data. That needs space first, so it continues only while `isRoom` returns true. `done`
   * is called on success; a failure ends the node.
   */
  compact(done: () => void, isRoom: () => boolean): void
  /** Ends the scans that were already open at the previous call. */
  endOldScans(): void
}

const NONE_PART = 4
/**
 * Above half of the reserve a compaction of everything has enough space, unless much was written just before: LevelDB
 * then compacts that by itself and needs more.
 */
const COMPACT_PART = 2
const FILE_PART = 8
/**
 * Space in reserves above which no reserve file is made, because writing it costs time, and no scan is ended, even if
 * LevelDB compacts for minutes.
 */
const SHORT_TIMES = 4
/** There is room again only above the bound times this factor, so that the state does not change back and forth. */
const AGAIN = 1.1
/** How often scans are ended while LevelDB compacts. It replaces about ten MiB in this time. */
const SCAN_MS = 100
/** Fraction of the space above the next bound. The next check is due when this much has been written. */
const WRITTEN_PART = 4

export class DiskSpace {
  readonly #clock: Clock
  readonly #limits: DriverLimits
  readonly #disk: Disk
  readonly #events: DiskSpaceEvents
  /** The state at the last check. */
  state: DiskSpaceState = 'enough'
  /** Free bytes at the last check. */
  freeBytes = Number.POSITIVE_INFINITY
  #written = 0
  #timer: Timer | undefined
  #compactAt: MonotonicMs = Number.NEGATIVE_INFINITY
  #compacting = false
  #scansTimer: Timer | undefined

  constructor(clock: Clock, limits: DriverLimits, disk: Disk, events: DiskSpaceEvents) {
    this.#clock = clock
    this.#limits = limits
    this.#disk = disk
    this.#events = events
  }

  /** Checks now, and then at intervals. */
  start(): void {
    this.#check()
    if (this.state !== 'enough' && !this.#compacting) this.#makeRoom()
    this.#timer = this.#clock.after(this.#limits.diskCheckMs, () => this.start())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#scansTimer?.cancel()
  }

  /** Called before this many bytes are written. */
  writes(bytes: number): void {
    this.#written += bytes
    const { diskReserveBytes } = this.#limits
    const bound = this.state === 'enough' ? diskReserveBytes : diskReserveBytes / NONE_PART
    if (this.#written * WRITTEN_PART > this.freeBytes - bound && this.state !== 'none') this.#check()
  }

  #check(): void {
    this.#written = 0
    this.freeBytes = this.#disk.freeBytes()
    this.#keepReserve()
    const state = this.#stateAt(this.freeBytes)
    if (state === this.state) return
    this.state = state
    this.#events.changed(state)
  }

  /**
   * Requests a compaction. Scans are not ended between two compactions: LevelDB replaces no data then, and another
   * node may need a snapshot to get room.
   */
  #makeRoom(): void {
    const isRoom = this.#isRoomToCompact(this.freeBytes)
    if (!isRoom) this.#events.endOldScans()
    else if (this.#clock.now() >= this.#compactAt) this.#compact()
  }

  #compact(): void {
    this.#compacting = true
    this.#endScans()
    const done = (): void => {
      this.#compacting = false
      this.#compactAt = this.#clock.now() + this.#limits.diskCompactMs
    }
    // A compaction may take minutes, and another program may fill the disk in that time.
    this.#events.compact(done, () => this.#isRoomToCompact(this.#disk.freeBytes()))
  }

  #isRoomToCompact(freeBytes: number): boolean {
    return freeBytes >= this.#limits.diskReserveBytes / COMPACT_PART
  }

  #endScans(): void {
    this.#scansTimer = this.#clock.after(SCAN_MS, () => {
      if (!this.#compacting) return
      if (this.#isShort) this.#events.endOldScans()
      this.#endScans()
    })
  }

  get #isShort(): boolean {
    return this.freeBytes <= SHORT_TIMES * this.#limits.diskReserveBytes
  }

  #stateAt(freeBytes: number): DiskSpaceState {
    const { diskReserveBytes } = this.#limits
    const factor = (reached: boolean): number => (reached ? 1 : AGAIN)
    if (freeBytes < (diskReserveBytes / NONE_PART) * factor(this.state !== 'none')) return 'none'
    return freeBytes < diskReserveBytes * factor(this.state === 'enough') ? 'low' : 'enough'
  }

  #keepReserve(): void {
    const { diskReserveBytes } = this.#limits
    const bytes = Math.floor(diskReserveBytes / FILE_PART)
    if (this.#disk.hasReserve) {
      if (this.freeBytes >= diskReserveBytes / NONE_PART) return
      this.#disk.giveBackReserve()
    } else {
      if (this.freeBytes < diskReserveBytes + 2 * bytes) return
      if (!this.#isShort || bytes === 0) return
      this.#disk.takeReserve(bytes)
    }
    this.freeBytes = this.#disk.freeBytes()
  }
}
