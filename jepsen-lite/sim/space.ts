// How much room the disk of a machine has. In one schedule of six others share it, and it is short for a while now and
// then, on each machine by itself: a node must refuse what it could not write before any write fails. (`disk.ts` has
// writes that fail all the same.)

import type { Disk } from '../../src/server/disk-space.ts'
import { driverLimits } from '../../src/server/limits.ts'
import { bits, DRAW } from './random.ts'

const SHORT_ONE_IN = 6
/** How long it stays as it is. */
const SPELL_MS = 1500
const { diskReserveBytes } = driverLimits
/** Of eight spells; the last two are deletes only, and nothing. */
const FREE_BYTES = [10, 10, 10, 10, 10, 3, 0.5, 0.01].map((times) => times * diskReserveBytes)

export class SimSpace implements Disk {
  readonly #spell: () => number
  readonly #isShort: boolean
  #reserve = 0
  /** Set by whoever decides it: a test, or the end of all faults. */
  fixed: number | undefined

  constructor(seed: number, place: number, now: () => number) {
    this.#isShort = bits(seed, DRAW.space, 0, 0) % SHORT_ONE_IN === 0
    this.#spell = () => bits(seed, DRAW.space, place + 1, Math.floor(now() / SPELL_MS)) % FREE_BYTES.length
  }

  freeBytes(): number {
    const free = this.fixed ?? (this.#isShort ? FREE_BYTES[this.#spell()] : undefined)
    return (free ?? Number.POSITIVE_INFINITY) - this.#reserve
  }

  get hasReserve(): boolean {
    return this.#reserve > 0
  }

  takeReserve(bytes: number): void {
    this.#reserve = bytes
  }

  giveBackReserve(): void {
    this.#reserve = 0
  }
}
