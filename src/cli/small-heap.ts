// Memory of a process that only runs a node. On a machine with much of it V8 lets garbage pile up to a multiple of what is alive, and
// the allocator keeps an arena per thread. A node needs little, and several share a machine.

import { setFlagsFromString } from 'node:v8'

/** For a child process: these cannot be changed once it runs. */
export const SMALL_HEAP_FLAGS = ['--max-semi-space-size=8']
export const SMALL_HEAP_ENV = { MALLOC_ARENA_MAX: '1' }

/** Collects the old generation when it has grown by this much, not several times over. Concerns the whole process: never for an embedded node. */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=150')
}
