// A sample of the refusals of clients whose user is not known. Anybody can cause these, any number of times, so most of
// them are only counted: a flood must not fill the disk of the audit log, nor displace the lines of users.

/** Lines that are written at once. One more is written each second. */
export const REFUSAL_LINES_BURST = 10
const LINE_EVERY_MS = 1_000

/** Refusals without a line, by their code. */
export type SkippedRefusals = Readonly<Record<string, number>>

export class RefusalSample {
  /** Writes a line with refusals that no later line has carried. */
  readonly #writeRest: (skipped: SkippedRefusals) => void
  #lines = REFUSAL_LINES_BURST
  #filledAt = performance.now()
  #skipped: Record<string, number> | undefined
  #timer: NodeJS.Timeout | undefined
  skippedTotal = 0

  constructor(writeRest: (skipped: SkippedRefusals) => void) {
    this.#writeRest = writeRest
  }

  /** Calls `write` for the line of a refusal, with those skipped since the line before it; or only counts it. */
  add(code: string, write: (skipped: SkippedRefusals | undefined) => void): void {
    const now = performance.now()
    const filled = this.#lines + (now - this.#filledAt) / LINE_EVERY_MS
    this.#lines = Math.min(filled, REFUSAL_LINES_BURST)
    this.#filledAt = now
    if (this.#lines >= 1) {
      this.#lines--
      write(this.#take())
      return
    }
    this.skippedTotal++
    this.#skipped ??= {}
    this.#skipped[code] = (this.#skipped[code] ?? 0) + 1
    this.#timer ??= setTimeout(() => this.flush(), LINE_EVERY_MS).unref()
  }

  /** Writes what was skipped, which takes the place of a later line. */
  flush(): void {
    const skipped = this.#take()
    if (skipped === undefined) return
    this.#lines--
    this.#writeRest(skipped)
  }

  #take(): SkippedRefusals | undefined {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const skipped = this.#skipped
    this.#skipped = undefined
    return skipped
  }
}
