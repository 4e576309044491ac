// The disk of a directory. Its reserve is a file in that directory. The simulator's disk has the same methods.

import { existsSync, rmSync, type StatsFs, statfsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Disk } from './disk.ts'

const RESERVE_FILE = 'RESERVE'
const PIECE = Buffer.alloc(1024 * 1024)

export class DirectoryDisk implements Disk {
  readonly #dir: string
  readonly #file: string

  constructor(dir: string) {
    this.#dir = dir
    this.#file = join(dir, RESERVE_FILE)
  }

  freeBytes(): number {
    return this.#bytes(({ bavail }) => bavail)
  }

  /** The size of the file system; Infinity when it is unknown. */
  totalBytes(): number {
    return this.#bytes(({ blocks }) => blocks)
  }

  #bytes(countBlocks: (found: StatsFs) => number): number {
    try {
      const found = statfsSync(this.#dir)
      // Some network file systems report no sizes.
      return found.blocks === 0 ? Number.POSITIVE_INFINITY : countBlocks(found) * found.bsize
    } catch {
      // The storage will report the problem with the directory, and its message is better.
      return Number.POSITIVE_INFINITY
    }
  }

  get hasReserve(): boolean {
    return existsSync(this.#file)
  }

  takeReserve(bytes: number): void {
    this.#write(bytes).catch(() => this.giveBackReserve())
  }

  /**
   * Writes all bytes, because a file with holes reserves nothing. A file that does not fit, or is deleted during the
   * writing, is no reserve.
   */
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
      // As in `freeBytes`, the storage will report the error, e.g. a file system that is read-only now. Thrown from a
      // timer, it would end the process.
    }
  }
}
