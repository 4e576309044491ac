// Calls with the same AbortSignal share one listener. Many listeners of one signal would cost each call more, and Node
// would warn of a leak. Who has a signal is known, so that nobody searches all calls when one of many signals fires.

interface Watched<Call> {
  readonly calls: Set<Call>
  readonly end: () => void
}

export class AbortListeners<Call> {
  readonly #watched = new Map<AbortSignal, Watched<Call>>()
  readonly #aborted: (call: Call) => void

  /** `aborted` is called for each call that has the signal, and the call leaves then. */
  constructor(aborted: (call: Call) => void) {
    this.#aborted = aborted
  }

  /** A call with this signal begins. */
  enter(signal: AbortSignal | undefined, call: Call): void {
    if (signal === undefined) return
    let watched = this.#watched.get(signal)
    if (watched === undefined) {
      const calls = new Set<Call>()
      const end = () => {
        for (const each of [...calls]) this.#aborted(each)
      }
      watched = { calls, end }
      this.#watched.set(signal, watched)
      signal.addEventListener('abort', end)
    }
    watched.calls.add(call)
  }

  /** It has ended. */
  leave(signal: AbortSignal | undefined, call: Call): void {
    const watched = signal && this.#watched.get(signal)
    if (signal === undefined || watched === undefined) return
    watched.calls.delete(call)
    if (watched.calls.size > 0) return
    signal.removeEventListener('abort', watched.end)
    this.#watched.delete(signal)
  }
}

const ends = new AbortListeners<() => void>((end) => end())

/** Calls `end` when the signal fires that has not fired yet. Returns a function that ends this, to be called always. */
export function whenAborted(signal: AbortSignal | undefined, end: () => void): () => void {
  ends.enter(signal, end)
  return () => ends.leave(signal, end)
}
