// The slow check of all rows, in the background: one slice at a time with pauses, a whole pass every hour. The first
// pass begins at once after rows became the state that nobody has read whole: at the start of a large store, and after
// a snapshot.

import { Scrub, type Storage } from '../../../storage/index.ts'
import type { Clock, Timer } from '../clock.ts'
import type { DriverLimits } from '../limits.ts'

export class Scrubber {
  readonly #clock: Clock
  readonly #storage: Storage
  readonly #limits: DriverLimits
  readonly #failed: (error: Error) => void
  #timer: Timer | undefined
  #scrub: Scrub | undefined
  #stopped = false

  constructor(clock: Clock, storage: Storage, limits: DriverLimits, failed: (error: Error) => void) {
    this.#clock = clock
    this.#storage = storage
    this.#limits = limits
    this.#failed = failed
  }

  start(): void {
    this.#schedule(this.#storage.areRowsProven ? this.#limits.scrubEveryMs : 0)
  }

  /** A snapshot has replaced all rows. A pass in progress begins anew by itself. */
  replaced(): void {
    if (this.#scrub === undefined && !this.#stopped) this.#schedule(0)
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.after(delayMs, () => {
      const { scrubSliceRows: rowsMax, scrubSliceBytes: bytesMax } = this.#limits
      const scrub = new Scrub(this.#storage, { rowsMax, bytesMax })
      this.#scrub = scrub
      this.#slice(scrub)
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
    this.#scrub?.close()
    this.#scrub = undefined
  }

  #slice(scrub: Scrub): void {
    scrub.step((error, finished) => {
      if (this.#stopped) return
      if (error !== undefined) {
        this.#failed(error)
      } else if (finished) {
        scrub.close()
        this.#scrub = undefined
        this.#schedule(this.#limits.scrubEveryMs)
      } else {
        this.#timer = this.#clock.after(this.#limits.scrubPauseMs, () => this.#slice(scrub))
      }
    })
  }
}
