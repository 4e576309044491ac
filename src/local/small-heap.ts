// Memory of a process that only runs a node. On a machine with much memory V8 lets garbage grow to a multiple of the
// live data, and the allocator keeps one arena per thread. A node needs little memory, and several nodes share a
// machine.

import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * For a child process: these cannot be changed once it runs. The young generation has 16 MiB and is collected by the
 * main thread: for so little, several threads spend more on coordination than they save. One arena: every further arena
 * would keep the memory that its thread once needed.
 */
export const SMALL_HEAP_FLAGS = ['--max-semi-space-size=16', '--no-parallel-scavenge']
export const SMALL_HEAP_ENV = { MALLOC_ARENA_MAX: '1' }

/**
 * Rows come from LevelDB as buffers outside the heap, which V8 hardly counts. Reading a million rows for a snapshot, or
 * catching up on a hundred thousand entries, would pile them up. So when buffers have grown by a little since the last
 * collection, the young generation is collected, which is cheap. Where that does not help, everything is collected,
 * which takes some ten milliseconds: seldom, or as soon as buffers have grown by much.
 */
const BUFFERS_GROWN_BYTES = 8 * 1024 * 1024
const BUFFERS_GROWN_BYTES_MAX = 16 * 1024 * 1024
const LOOK_EVERY_MS = 20
const FULL_EVERY_MS = 20_000

/**
 * Collects the old generation when it has grown by the percentage below, and buffers when there are many. It changes
 * the whole process, so it is never used for an embedded node.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=150')
  setFlagsFromString('--expose-gc')
  const collect: (options: { readonly type: 'minor' | 'major' }) => void = runInNewContext('gc')
  const buffers = (): number => getHeapStatistics().external_memory
  let [afterMinor, afterMajor, majorAt] = [buffers(), buffers(), 0]
  setInterval(() => {
    // V8 may have collected by itself.
    const now = buffers()
    afterMinor = Math.min(afterMinor, now)
    afterMajor = Math.min(afterMajor, now)
    if (now - afterMinor < BUFFERS_GROWN_BYTES) return
    collect({ type: 'minor' })
    afterMinor = buffers()
    const grown = afterMinor - afterMajor
    if (grown < BUFFERS_GROWN_BYTES) return
    if (grown < BUFFERS_GROWN_BYTES_MAX && performance.now() - majorAt < FULL_EVERY_MS) return
    collect({ type: 'major' })
    majorAt = performance.now()
    afterMajor = buffers()
    afterMinor = afterMajor
  }, LOOK_EVERY_MS).unref()
}
