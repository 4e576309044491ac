// The free space of a machine's disk. In one of six schedules other programs share it, and now and then it is short for
// a while, on each machine separately. A node must refuse what it could not write before any write fails. (`disk.ts`
// has writes that fail all the same.)

import type { Disk } from '../../../src/server/node/disk.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { bits } from '../../workload/random.ts'
import type { SimConfig } from '../schedule/config.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import type { Time } from './time.ts'

const SHORT_ONE_IN = 6
/** How long it stays the same. */
const SPELL_MS = 1500
const { diskReserveBytes } = driverLimits
/** The free space of a period, one of these eight. The last but one allows only deletes, the last one nothing. */
const FREE_BYTES = [10, 10, 10, 10, 10, 3, 0.5, 0.01].map((times) => times * diskReserveBytes)

interface World {
  readonly seed: number
  readonly config: SimConfig
  readonly time: Time
}

export class SimDiskSpace implements Disk {
  readonly #spell: () => number
  readonly #isShort: boolean
  #reserve = 0
  /** Set by a test, or at the end of all faults. */
  fixed: number | undefined

  constructor({ seed, config, time }: World, place: number) {
    this.#isShort = config.shortDisks !== 0 && bits(seed, DRAW.space, 0, 0) % SHORT_ONE_IN === 0
    this.#spell = () => bits(seed, DRAW.space, place + 1, Math.floor(time.now / SPELL_MS)) % FREE_BYTES.length
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
