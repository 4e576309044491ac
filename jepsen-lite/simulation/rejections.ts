// Promises of simulated code that are rejected, and that nobody handles. In a process of its own each would end that
// process, so it fails the run. Meanwhile the test runner does not hear of them.

type Listener = NodeJS.UnhandledRejectionListener

const EVENT = 'unhandledRejection'

/**
 * From now on `rejected` is called with the reasons of rejections that nobody handles. It returns whether they are
 * those of simulated code; others are passed on. Call the result to end that.
 */
export function catchRejections(rejected: (reason: unknown) => boolean): () => void {
  const others = process.listeners(EVENT) as Listener[]
  const listener: Listener = (reason, promise) => {
    if (rejected(reason)) return
    if (others.length === 0) throw reason
    for (const other of others) other(reason, promise)
  }
  process.removeAllListeners(EVENT)
  process.on(EVENT, listener)
  return () => {
    process.off(EVENT, listener)
    for (const other of others) process.on(EVENT, other)
  }
}
