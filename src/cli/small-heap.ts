// Memory of a process that only runs a node. On a machine with much of it V8 lets garbage pile up to a multiple of what is alive, and
// the allocator keeps an arena per thread. A node needs little, and several share a machine.

import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** For a child process: these cannot be changed once it runs. */
export const SMALL_HEAP_FLAGS = ['--max-semi-space-size=8']
export const SMALL_HEAP_ENV = { MALLOC_ARENA_MAX: '1' }

/**
 * Rows come from LevelDB as buffers outside the heap, which V8 hardly counts: reading a million for a snapshot would pile them up. Those in the
 * young generation go cheaply; a full collection, some ten milliseconds, is asked for when that does not help, and seldom.
 */
const BUFFERS_BYTES_MINOR = 16 * 1024 * 1024
const BUFFERS_BYTES_MAJOR = 28 * 1024 * 1024
const LOOK_EVERY_MS = 50
const FULL_EVERY_MS = 1000

/**
 * Collects the old generation when it has grown by this much, not several times over, and buffers when there are many. Concerns the whole
 * process: never for an embedded node.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=150')
  setFlagsFromString('--expose-gc')
  const collect: (options: { readonly type: 'minor' | 'major' }) => void = runInNewContext('gc')
  const beyond = (bytes: number): boolean => getHeapStatistics().external_memory > bytes
  let fullAt = 0
  setInterval(() => {
    if (!beyond(BUFFERS_BYTES_MINOR)) return
    collect({ type: 'minor' })
    const now = performance.now()
    if (now - fullAt < FULL_EVERY_MS || !beyond(BUFFERS_BYTES_MAJOR)) return
    fullAt = now
    collect({ type: 'major' })
  }, LOOK_EVERY_MS).unref()
}
