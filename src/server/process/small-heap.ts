// Memory of a process that only runs a node. On a machine with much memory V8 lets garbage grow to a multiple of the
// live data, and the allocator keeps one arena per thread. A node needs little memory, and several nodes share a
// machine.

import { setFlagsFromString } from 'node:v8'

/**
 * For a child process: these cannot be changed once it runs. The young generation has 16 MiB and is collected by the
 * main thread: for so little, several threads spend more on coordination than they save. One arena: every further arena
 * would keep the memory that its thread once needed.
 */
export const SMALL_HEAP_FLAGS = ['--max-semi-space-size=16', '--no-parallel-scavenge']
export const SMALL_HEAP_ENV = { MALLOC_ARENA_MAX: '1' }

/**
 * Collects the old generation when it has grown by the percentage below. It changes the whole process, so it is never
 * used for an embedded node.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=150')
}
