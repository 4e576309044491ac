// The async context of a caller, for what runs later on its behalf.

import { AsyncResource } from 'node:async_hooks'

/**
 * Binds a function to the async context of now. `AsyncLocalStorage.bind` takes 20 µs, since the garbage collector has
 * to destroy its resource.
 */
export function bound(run: () => void): () => void {
  const resource = new AsyncResource('quorate.simulation', { requireManualDestroy: true })
  return () => resource.runInAsyncScope(run)
}
