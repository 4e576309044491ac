// Calls with the same AbortSignal share one listener. Many listeners of one signal would cost each call more, and Node
// would warn of a leak.

interface Watched {
  calls: number
  readonly end: () => void
}

export class Signals {
  readonly #watched = new Map<AbortSignal, Watched>()
  readonly #aborted: (signal: AbortSignal) => void

  /** `aborted` is called once for a signal, however many calls have it. */
  constructor(aborted: (signal: AbortSignal) => void) {
    this.#aborted = aborted
  }

  /** A call with this signal begins. */
  enter(signal: AbortSignal | undefined): void {
    if (signal === undefined) return
    let watched = this.#watched.get(signal)
    if (watched === undefined) {
      watched = { calls: 0, end: () => this.#aborted(signal) }
      this.#watched.set(signal, watched)
      signal.addEventListener('abort', watched.end)
    }
    watched.calls += 1
  }

  /** It has ended. */
  leave(signal: AbortSignal | undefined): void {
    const watched = signal && this.#watched.get(signal)
    if (signal === undefined || watched === undefined || --watched.calls > 0) return
    signal.removeEventListener('abort', watched.end)
    this.#watched.delete(signal)
  }
}
