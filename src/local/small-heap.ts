// Memory of a process that only runs a node. On a machine with much of it V8 lets garbage pile up to a multiple of what
// is alive, and the allocator keeps an arena per thread. A node needs little, and several share a machine.

import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * For a child process: these cannot be changed once it runs. A young generation of 16 MiB, collected by the thread that
 * filled it: several threads that share so little work spend more on agreeing than they save. One arena: each other
 * would keep what a thread once needed.
 */
export const SMALL_HEAP_FLAGS = ['--max-semi-space-size=16', '--no-parallel-scavenge']
export const SMALL_HEAP_ENV = { MALLOC_ARENA_MAX: '1' }

/**
 * Rows come from LevelDB as buffers outside the heap, which V8 hardly counts: reading a million for a snapshot, or
 * catching up on a hundred thousand entries, would pile them up. So when buffers have grown by a little since the last
 * collection, the young ones are collected, which is cheap; where that does not help, everything is, some ten
 * milliseconds: seldom, or as soon as they have grown by much.
 */
const BUFFERS_GROWN_BYTES = 3 * 1024 * 1024
const BUFFERS_GROWN_BYTES_MAX = 16 * 1024 * 1024
const LOOK_EVERY_MS = 20
const FULL_EVERY_MS = 2000

/**
 * Collects the old generation when it has grown by this much, not several times over, and buffers when there are many.
 * Concerns the whole process: never for an embedded node.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=150')
  setFlagsFromString('--expose-gc')
  const collect: (options: { readonly type: 'minor' | 'major' }) => void = runInNewContext('gc')
  const buffers = (): number => getHeapStatistics().external_memory
  let [afterMinor, afterMajor, majorAt] = [buffers(), buffers(), 0]
  setInterval(() => {
    // V8 collects of its own accord too.
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
