// Calls with the same AbortSignal share one listener. Many listeners of one signal would cost each call more, and Node
// would warn of a leak.

interface Listener {
  readonly ends: Set<() => void>
  readonly onAbort: () => void
}

const listeners = new Map<AbortSignal, Listener>()

/** Calls `end` when the signal fires that has not fired yet. Returns a function that unsubscribes, for every end. */
export function whenAborted(signal: AbortSignal | undefined, end: () => void): () => void {
  if (signal === undefined) return nothing
  const listener = listeners.get(signal) ?? listen(signal)
  listener.ends.add(end)
  return () => {
    listener.ends.delete(end)
    if (listener.ends.size > 0 || listeners.get(signal) !== listener) return
    signal.removeEventListener('abort', listener.onAbort)
    listeners.delete(signal)
  }
}

function listen(signal: AbortSignal): Listener {
  const ends = new Set<() => void>()
  const onAbort = () => {
    for (const end of [...ends]) end()
  }
  const listener = { ends, onAbort }
  listeners.set(signal, listener)
  signal.addEventListener('abort', onAbort)
  return listener
}

const nothing = () => {}
