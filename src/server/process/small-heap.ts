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
 *
 * V8 frees collected buffers in another thread, and counts them until then. So after a collection one look is skipped.
 * Without that each collection would seem to bring nothing, and lead to one of everything.
 */
const BUFFERS_GROWN_BYTES = 8 * 1024 * 1024
const BUFFERS_GROWN_BYTES_MAX = 16 * 1024 * 1024
const LOOK_EVERY_MS = 20
const FULL_EVERY_MS = 20_000

/** Garbage collection of the young generation only, or of everything. */
type Collection = 'minor' | 'major'

/** Says when buffers are to be collected. */
export class BufferCollector {
  #afterMinor = Number.POSITIVE_INFINITY
  #afterMajor = Number.POSITIVE_INFINITY
  #majorAt = Number.NEGATIVE_INFINITY
  #heapBytes = 0
  /** The last collection, by V8 or requested here, whose result is not known yet. */
  #last: Collection | undefined

  /** Called every LOOK_EVERY_MS. Returns what is to be collected now. */
  look(nowMs: number, heapBytes: number, bufferBytes: number): Collection | undefined {
    const isCollected = heapBytes < this.#heapBytes
    this.#heapBytes = heapBytes
    if (isCollected) {
      this.#last ??= 'minor'
      return undefined
    }
    const last = this.#last
    this.#afterMinor = last === undefined ? Math.min(this.#afterMinor, bufferBytes) : bufferBytes
    this.#afterMajor = last === 'major' ? bufferBytes : Math.min(this.#afterMajor, bufferBytes)
    this.#last = undefined
    if (last === 'minor' && this.#isMajorDue(nowMs, bufferBytes)) {
      this.#majorAt = nowMs
      this.#last = 'major'
    } else if (bufferBytes - this.#afterMinor >= BUFFERS_GROWN_BYTES) this.#last = 'minor'
    return this.#last
  }

  #isMajorDue(nowMs: number, bufferBytes: number): boolean {
    const grown = bufferBytes - this.#afterMajor
    if (grown >= BUFFERS_GROWN_BYTES_MAX) return true
    return grown >= BUFFERS_GROWN_BYTES && nowMs - this.#majorAt >= FULL_EVERY_MS
  }
}

/**
 * Collects the old generation when it has grown by the percentage below, and buffers when there are many. It changes
 * the whole process, so it is never used for an embedded node.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=150')
  setFlagsFromString('--expose-gc')
  const collect: (options: { readonly type: Collection }) => void = runInNewContext('gc')
  const watch = new BufferCollector()
  setInterval(() => {
    const { used_heap_size, external_memory } = getHeapStatistics()
    const type = watch.look(performance.now(), used_heap_size, external_memory)
    if (type !== undefined) collect({ type })
  }, LOOK_EVERY_MS).unref()
}
