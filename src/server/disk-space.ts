// How much room the disk has, looked at now and then, and sooner after much was written. A write that fails for want of
// room ends the node (docs/SPEC.md, STORE-4), and all nodes of a cluster on equal disks with it. So changes are refused
// while there is still room for what was accepted, for deletes, and for LevelDB to compact, which is what makes room
// again:
//
//   free space   enough ── diskReserveBytes ── low ── a quarter of that ── none
//
//   low    entries that make room (deletes) are taken, others are refused; a leader hands over to a node that has room
//   none   no change is written: the replica votes, follows and serves, and takes no entries until there is room again but the one with which a term begins
//
// While it is short the log is kept no longer than needed, and while it is low LevelDB is told to compact now and then:
// by itself it would keep what was deleted until enough is written, and nothing is. Compacting takes room before it
// gives some: a hundred MiB, where much was written lately. So with less than half of the reserve left it is not asked
// for. When it fails LevelDB takes no write any more, not even once there is room again. A scan keeps what compactions
// have replaced: while LevelDB compacts everything and there is not much room again, or less than half of the reserve
// is left, one that takes long is ended.
//
// A file of an eighth of the reserve is kept once space grows short, and given back before `none` is declared: so there
// is something left even when somebody else fills the disk.

import { existsSync, rmSync, statfsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { DiskRoom, MonotonicMs } from '../raft/index.ts'
import type { DriverLimits } from './limits.ts'
import type { Clock, Timer } from './types.ts'

/** The file system that holds the data of a node. */
export interface Disk {
  /** Free bytes, for this user; Infinity when that cannot be told. */
  freeBytes(): number
  /** The file that is kept: whether it is there or being made, making it, and giving it back. */
  readonly hasReserve: boolean
  /** In the background. */
  takeReserve(bytes: number): void
  giveBackReserve(): void
}

export interface DiskSpaceEvents {
  changed(room: DiskRoom): void
  /**
   * Give back what was deleted, which takes room first, as long as `isRoom` says that there is some; `done` is called
   * unless that fails, which ends the node.
   */
  compact(done: () => void, isRoom: () => boolean): void
  /** End the scans that were open at the call before already. */
  endOldScans(): void
}

const NONE_PART = 4
/**
 * Above what a compaction of everything takes, unless much was written just before: then LevelDB compacts that by
 * itself, and takes more.
 */
const COMPACT_PART = 2
const FILE_PART = 8
/**
 * Of the reserve: with more free room nothing is kept, which costs the writing of so much, and no scan is ended, though
 * LevelDB may go on compacting everything for minutes.
 */
const SHORT_TIMES = 4
/** Beyond the bound by this factor there is room again: no going to and fro. */
const AGAIN = 1.1
/** How often scans are ended while LevelDB compacts, which replaces some ten MiB in this time. */
const SCAN_MS = 100
/** Looked at again when this part of what is left above the next bound has been written since. */
const WRITTEN_PART = 4

export class DiskSpace {
  readonly #clock: Clock
  readonly #limits: DriverLimits
  readonly #disk: Disk
  readonly #events: DiskSpaceEvents
  #room: DiskRoom = 'enough'
  #freeBytes = Number.POSITIVE_INFINITY
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

  /** As of the last look. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** Looks, and then again and again. */
  start(): void {
    this.#look()
    if (this.#room !== 'enough' && !this.#compacting) this.#makeRoom()
    this.#timer = this.#clock.after(this.#limits.diskLookMs, () => this.start())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#scansTimer?.cancel()
  }

  /** So much is about to be written. */
  writes(bytes: number): void {
    this.#written += bytes
    const { diskReserveBytes } = this.#limits
    const bound = this.#room === 'enough' ? diskReserveBytes : diskReserveBytes / NONE_PART
    if (this.#written * WRITTEN_PART > this.#freeBytes - bound && this.#room !== 'none') this.#look()
  }

  #look(): void {
    this.#written = 0
    this.#freeBytes = this.#disk.freeBytes()
    this.#keepReserve()
    const room = this.#roomOf(this.#freeBytes)
    if (room === this.#room) return
    this.#room = room
    this.#events.changed(room)
  }

  /**
   * Between two compactions scans go on: LevelDB has nothing left to replace, and a snapshot may be what another node
   * needs to have room.
   */
  #makeRoom(): void {
    const isRoom = this.#isRoomToCompact(this.#freeBytes)
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
    // It takes minutes where there is much, and somebody else may fill the disk.
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
    return this.#freeBytes <= SHORT_TIMES * this.#limits.diskReserveBytes
  }

  #roomOf(freeBytes: number): DiskRoom {
    const { diskReserveBytes } = this.#limits
    const factor = (reached: boolean): number => (reached ? 1 : AGAIN)
    if (freeBytes < (diskReserveBytes / NONE_PART) * factor(this.#room !== 'none')) return 'none'
    return freeBytes < diskReserveBytes * factor(this.#room === 'enough') ? 'low' : 'enough'
  }

  #keepReserve(): void {
    const { diskReserveBytes } = this.#limits
    const bytes = Math.floor(diskReserveBytes / FILE_PART)
    if (this.#disk.hasReserve) {
      if (this.#freeBytes >= diskReserveBytes / NONE_PART) return
      this.#disk.giveBackReserve()
    } else {
      if (this.#freeBytes < diskReserveBytes + 2 * bytes) return
      if (!this.#isShort || bytes === 0) return
      this.#disk.takeReserve(bytes)
    }
    this.#freeBytes = this.#disk.freeBytes()
  }
}

const RESERVE_FILE = 'RESERVE'
const PIECE = Buffer.alloc(1024 * 1024)

/** The real one. */
export class DirectoryDisk implements Disk {
  readonly #dir: string
  readonly #file: string

  constructor(dir: string) {
    this.#dir = dir
    this.#file = join(dir, RESERVE_FILE)
  }

  freeBytes(): number {
    try {
      const { bavail, bsize, blocks } = statfsSync(this.#dir)
      // Some file systems of networks tell nothing.
      return blocks === 0 ? Number.POSITIVE_INFINITY : bavail * bsize
    } catch {
      // What is wrong with the directory the storage finds out, and says better.
      return Number.POSITIVE_INFINITY
    }
  }

  get hasReserve(): boolean {
    return existsSync(this.#file)
  }

  takeReserve(bytes: number): void {
    this.#write(bytes).catch(() => this.giveBackReserve())
  }

  /** Written out, for a file with holes keeps nothing. One that does not fit, or is given back meanwhile, is none. */
  async #write(bytes: number): Promise<void> {
    const file = await open(this.#file, 'w')
    try {
      for (let left = bytes; left > 0 && this.hasReserve; left -= PIECE.length) {
        await file.write(PIECE, 0, Math.min(left, PIECE.length))
      }
      await file.sync()
    } finally {
      await file.close()
    }
  }

  giveBackReserve(): void {
    try {
      rmSync(this.#file, { force: true })
    } catch {
      // As with the free bytes. A file system that was made read-only, say: thrown by a timer, this would end the
      // process.
    }
  }
}
